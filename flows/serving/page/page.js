"use strict";
const at = (id) => document.getElementById(id);
const MOST = 10; // bars
const SVG = "http://www.w3.org/2000/svg";
let image = null;
let asked = 0; // the number of the newest question: an older answer that comes late is not shown

function show(id, text) {
  at(id).textContent = text;
  at(id).hidden = !text;
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function bar(name, share, predicted) {
  const row = document.createElement("li");
  row.className = predicted ? "bar predicted" : "bar";
  const label = document.createElement("span");
  label.className = "name";
  label.textContent = label.title = name;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("width", `${Math.max(100 * share, 0.3)}%`);
  rect.setAttribute("height", "100%");
  drawing.append(rect);
  const number = document.createElement("span");
  number.className = "share";
  number.textContent = percent(share);
  row.append(label, drawing, number);
  return row;
}

function answered(reply) {
  const one = reply.answers[0];
  const classes = Object.entries(one.probabilities);
  const largest = [...classes].sort((a, b) => b[1] - a[1]).slice(0, MOST).map(([name]) => name);
  at("predicted").textContent = one.predicted;
  at("confidence").textContent = percent(one.probabilities[one.predicted]);
  show("doubt", one.none_of_these ? `Perhaps none of these classes: novelty ${one.novelty.toFixed(1)}, above 1.` : "");
  at("bars").replaceChildren(
    ...classes.filter(([name]) => largest.includes(name)).map(([name, share]) => bar(name, share, name === one.predicted)),
  );
  at("notes").replaceChildren(...[...reply.notes, ...reply.warnings].map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  at("version").textContent = reply.version;
  at("answer").hidden = false;
}

async function ask() {
  if (!image) return;
  const mine = ++asked;
  show("error", "");
  const address = `v1/models/${encodeURIComponent(at("dataset").value)}:image?invert=${at("invert").checked ? 1 : 0}`;
  try {
    const response = await fetch(address, { method: "POST", body: image });
    const reply = await response.json();
    if (mine !== asked) return;
    if (!response.ok) throw new Error(reply.error);
    answered(reply);
  } catch (error) {
    if (mine !== asked) return;
    at("answer").hidden = true;
    show("error", error.message);
  }
}

function take(file) {
  if (!file) return;
  image = file;
  URL.revokeObjectURL(at("preview").src);
  at("preview").src = URL.createObjectURL(file);
  at("preview").hidden = false;
  at("prompt").textContent = file.name || "pasted image";
  ask();
}

at("file").addEventListener("change", (event) => take(event.target.files[0]));
at("dataset").addEventListener("change", ask);
at("invert").addEventListener("change", ask);
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}
