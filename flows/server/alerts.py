"""The automation that notifies people when a run fails, if there is a notification block for it on the server."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument

BLOCK = "nightshift"  # a notification block of this name: Slack, mail, a webhook...
NAME = "nightshift: a run failed or crashed"
BAD_ENDS = {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}
FLOWS = ["retrain", "verify", "smoke"]  # a failed training is reported by its night
SUBJECT = "Nightshift: {{ flow_run.name }} {{ flow_run.state.name }}"
BODY = "{{ flow.name }}, {{ flow_run.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}"


def apply(client: "SyncPrefectClient") -> bool:
    """Create or replace the automation; return whether there is a notification block, without which there is none."""
    block = _block(client)
    for old in client.read_automations_by_name(NAME):
        client.delete_automation(old.id)
    if block is not None:
        client.create_automation(_automation(block))
    return block is not None


def _block(client: "SyncPrefectClient") -> "BlockDocument | None":
    for block in client.read_block_documents(include_secrets=False):
        capabilities = block.block_schema.capabilities if block.block_schema else []
        if block.name == BLOCK and "notify" in capabilities:
            return block
    return None


def _automation(block: "BlockDocument") -> Any:
    from prefect.events import AutomationCore, EventTrigger, Posture, ResourceSpecification
    from prefect.events.actions import SendNotification

    related: dict[str, str | list[str]] = {"prefect.resource.role": "flow", "prefect.resource.name": FLOWS}
    trigger = EventTrigger(
        expect=BAD_ENDS, match_related=ResourceSpecification(related), posture=Posture.Reactive, threshold=1
    )
    action = SendNotification(block_document_id=block.id, subject=SUBJECT, body=BODY)
    return AutomationCore(name=NAME, description="Created by make deploy.", trigger=trigger, actions=[action])
