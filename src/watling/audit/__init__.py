"""The audit: whether each consumed record stands exactly once in its stream's table or in quarantine."""

from watling.audit.report import AuditReport, Fault, StreamAudit
from watling.audit.run import accept_loss, run_audit
from watling.audit.verdict import keep_verdict, last_verdict

__all__ = ["AuditReport", "Fault", "StreamAudit", "accept_loss", "keep_verdict", "last_verdict", "run_audit"]
