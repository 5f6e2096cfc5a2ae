"""The messages of adapterd/v1/tasks.proto. Written by `make protos` from protos/adapterd/v1/tasks.proto; do not edit."""

from adapterd.v1.private_pool import add_file, message_classes

DESCRIPTOR = add_file(
    b'\n\x17adapterd/v1/tasks.proto\x12\x0badapterd.v1\x1a\x1fgoogle/protobuf/timestam'
    b'p.proto"\xac\x02\n\x04Task\x12\x17\n\x07task_id\x18\x01 \x01(\tR\x06taskId\x12\x12\n\x04head\x18\x02 \x01(\tR\x04head\x12%\n'
    b'\x0elatest_version\x18\x03 \x01(\x03R\rlatestVersion\x128\n\x07aliases\x18\x04 \x03(\x0b2\x1e.adapterd'
    b'.v1.Task.AliasesEntryR\x07aliases\x12\x1d\n\ncreated_at\x18\x05 \x01(\x01R\tcreatedAt\x12;\n'
    b'\x0bcreate_time\x18\x06 \x01(\x0b2\x1a.google.protobuf.TimestampR\ncreateTime\x1a:\n\x0cAl'
    b'iasesEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\x03R\x05value:\x028\x01">\n\x10ListTa'
    b'sksRequest\x12\x14\n\x05limit\x18\x01 \x01(\x05R\x05limit\x12\x14\n\x05after\x18\x02 \x01(\tR\x05after"W\n\x11ListTa'
    b"sksResponse\x12'\n\x05tasks\x18\x01 \x03(\x0b2\x11.adapterd.v1.TaskR\x05tasks\x12\x19\n\x08has_more"
    b'\x18\x02 \x01(\x08R\x07hasMore")\n\x0eGetTaskRequest\x12\x17\n\x07task_id\x18\x01 \x01(\tR\x06taskId",\n\x11De'
    b'leteTaskRequest\x12\x17\n\x07task_id\x18\x01 \x01(\tR\x06taskId"\x14\n\x12DeleteTaskResponse2\xdd'
    b'\x01\n\x05Tasks\x12J\n\tListTasks\x12\x1d.adapterd.v1.ListTasksRequest\x1a\x1e.adapterd.'
    b'v1.ListTasksResponse\x129\n\x07GetTask\x12\x1b.adapterd.v1.GetTaskRequest\x1a\x11.a'
    b'dapterd.v1.Task\x12M\n\nDeleteTask\x12\x1e.adapterd.v1.DeleteTaskRequest\x1a\x1f.'
    b"adapterd.v1.DeleteTaskResponseB'\n\x0badapterd.v1P\x01Z\x16adapterd/v1;ada"
    b'pterdv1b\x06proto3'
)
globals().update(message_classes(DESCRIPTOR))
