"""The object behind both transports, with one service per resource."""

from __future__ import annotations

from dataclasses import dataclass

from server.service.generate.service import GenerateService
from server.service.predict_many import PredictManyService
from server.service.predict_router import PredictRouter
from server.service.resources.adapters import AdapterService
from server.service.resources.audit_trail import AuditTrail
from server.service.resources.checks import CheckService
from server.service.resources.erasures import ErasureService
from server.service.resources.files import FileService
from server.service.resources.jobs import JobService
from server.service.resources.models import ModelService
from server.service.resources.tasks import TaskService
from server.service.views import InfoView


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Every method takes its `Caller`; none knows the transport."""

    predict: PredictRouter
    predict_many: PredictManyService
    generate: GenerateService
    models: ModelService
    tasks: TaskService
    adapters: AdapterService
    audit: AuditTrail
    jobs: JobService
    files: FileService
    erasures: ErasureService
    checks: CheckService
    info: InfoView
