"""The messages of adapterd/v1/tasks.proto. Written by `make protos` from protos/adapterd/v1/tasks.proto; do not edit."""

from adapterd.v1.private_pool import add_file, message_classes

DESCRIPTOR = add_file(
    b'\n\x17adapterd/v1/tasks.proto\x12\x0badapterd.v1"\xef\x01\n\x04Task\x12\x17\n\x07task_id\x18\x01 \x01(\t'
    b'R\x06taskId\x12\x12\n\x04head\x18\x02 \x01(\tR\x04head\x12%\n\x0elatest_version\x18\x03 \x01(\x03R\rlatestVers'
    b'ion\x128\n\x07aliases\x18\x04 \x03(\x0b2\x1e.adapterd.v1.Task.AliasesEntryR\x07aliases\x12\x1d\n'
    b'\ncreated_at\x18\x05 \x01(\x01R\tcreatedAt\x1a:\n\x0cAliasesEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14'
    b'\n\x05value\x18\x02 \x01(\x03R\x05value:\x028\x01">\n\x10ListTasksRequest\x12\x14\n\x05limit\x18\x01 \x01(\x05R\x05lim'
    b'it\x12\x14\n\x05after\x18\x02 \x01(\tR\x05after"W\n\x11ListTasksResponse\x12\'\n\x05tasks\x18\x01 \x03(\x0b2\x11.a'
    b'dapterd.v1.TaskR\x05tasks\x12\x19\n\x08has_more\x18\x02 \x01(\x08R\x07hasMore")\n\x0eGetTaskRequ'
    b'est\x12\x17\n\x07task_id\x18\x01 \x01(\tR\x06taskId",\n\x11DeleteTaskRequest\x12\x17\n\x07task_id\x18\x01 \x01'
    b'(\tR\x06taskId"\x14\n\x12DeleteTaskResponse2\xdd\x01\n\x05Tasks\x12J\n\tListTasks\x12\x1d.adapte'
    b'rd.v1.ListTasksRequest\x1a\x1e.adapterd.v1.ListTasksResponse\x129\n\x07GetTas'
    b'k\x12\x1b.adapterd.v1.GetTaskRequest\x1a\x11.adapterd.v1.Task\x12M\n\nDeleteTask\x12'
    b'\x1e.adapterd.v1.DeleteTaskRequest\x1a\x1f.adapterd.v1.DeleteTaskResponse'
    b'b\x06proto3'
)
globals().update(message_classes(DESCRIPTOR))
