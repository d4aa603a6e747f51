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
    """Create the automation, unless there is one that sends to the notification block: people may have changed it.

    Returns:
        Whether there is a notification block, without which there is no automation.
    """
    block, found = _block(client), client.read_automations_by_name(NAME)
    if block is not None and any(str(block.id) in one.model_dump_json() for one in found):
        return True
    for old in found:  # its block is gone
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
