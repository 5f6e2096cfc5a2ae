"""The one object behind both transports: a part per resource."""

from __future__ import annotations

from dataclasses import dataclass

from server.service.adapters import AdapterService
from server.service.checks import CheckService
from server.service.files import FileService
from server.service.jobs import JobService
from server.service.models import ModelService
from server.service.predict import PredictService
from server.service.predict_many import PredictManyService
from server.service.tasks import TaskService
from server.service.views import InfoView
from server.service.write import WriteService


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Every call takes its `Caller`; nothing here knows how it arrived."""

    predict: PredictService
    predict_many: PredictManyService
    write: WriteService
    models: ModelService
    tasks: TaskService
    adapters: AdapterService
    jobs: JobService
    files: FileService
    checks: CheckService
    info: InfoView
