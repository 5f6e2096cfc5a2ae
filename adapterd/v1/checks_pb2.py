"""The messages of adapterd/v1/checks.proto. Written by `make protos` from protos/adapterd/v1/checks.proto; do not edit."""

from adapterd.v1.private_pool import add_file, message_classes

DESCRIPTOR = add_file(
    b'\n\x18adapterd/v1/checks.proto\x12\x0badapterd.v1\x1a\x1cgoogle/protobuf/struct.'
    b'proto"\xf1\x02\n\x10CheckFileRequest\x12\x17\n\x07file_id\x18\x01 \x01(\tR\x06fileId\x12\x1e\n\x0bdev_file_'
    b'id\x18\x02 \x01(\tR\tdevFileId\x12 \n\x0ctest_file_id\x18\x03 \x01(\tR\ntestFileId\x12\x12\n\x04head\x18\x04 '
    b'\x01(\tR\x04head\x12\x1f\n\x0btext_column\x18\x05 \x01(\tR\ntextColumn\x12(\n\x10text_pair_column\x18\x06'
    b' \x01(\tR\x0etextPairColumn\x12!\n\x0clabel_column\x18\x07 \x01(\tR\x0blabelColumn\x12\x1d\n\nsplit'
    b'_seed\x18\x08 \x01(\x03R\tsplitSeed\x12\x12\n\x04kind\x18\t \x01(\tR\x04kind\x12\x18\n\x07pooling\x18\n \x01(\tR\x07poo'
    b'ling\x123\n\x08settings\x18\x0b \x01(\x0b2\x17.google.protobuf.StructR\x08settings"\xe9\x01\n\tFi'
    b'leCheck\x12\x17\n\x07file_id\x18\x01 \x01(\tR\x06fileId\x12\x0e\n\x02ok\x18\x02 \x01(\x08R\x02ok\x124\n\x04rows\x18\x03 \x03(\x0b2 '
    b'.adapterd.v1.FileCheck.RowsEntryR\x04rows\x12\x12\n\x04kind\x18\x04 \x01(\tR\x04kind\x120\n\x08fi'
    b'ndings\x18\x05 \x03(\x0b2\x14.adapterd.v1.FindingR\x08findings\x1a7\n\tRowsEntry\x12\x10\n\x03key'
    b'\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\x03R\x05value:\x028\x01"\xc7\x01\n\x07Finding\x12\x12\n\x04code\x18\x01 \x01(\tR'
    b'\x04code\x12\x1a\n\x08severity\x18\x02 \x01(\tR\x08severity\x12\x18\n\x07message\x18\x03 \x01(\tR\x07message\x12\x14\n\x05c'
    b'ount\x18\x04 \x01(\x03R\x05count\x12-\n\x07samples\x18\x05 \x03(\x0b2\x13.adapterd.v1.SampleR\x07samples'
    b'\x12-\n\x05facts\x18\x06 \x01(\x0b2\x17.google.protobuf.StructR\x05facts"D\n\x06Sample\x12\x12\n\x04fil'
    b'e\x18\x01 \x01(\tR\x04file\x12\x12\n\x04line\x18\x02 \x01(\x03R\x04line\x12\x12\n\x04text\x18\x03 \x01(\tR\x04text2L\n\x06Checks\x12'
    b'B\n\tCheckFile\x12\x1d.adapterd.v1.CheckFileRequest\x1a\x16.adapterd.v1.FileCh'
    b"eckB'\n\x0badapterd.v1P\x01Z\x16adapterd/v1;adapterdv1b\x06proto3"
)
globals().update(message_classes(DESCRIPTOR))
