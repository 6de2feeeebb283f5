package launch

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxFields is how many fields one answer may have, those of its messages included: an empty message is two bytes on the
// wire and a hundred in memory, so that an answer of 4 MiB could take hundreds of MiB before anybody looked at it.
const maxFields = 64 << 10

var errFields = fmt.Errorf("it has more than %d fields", maxFields)

// codec is gRPC's own for messages, and refuses an answer with too many fields before it makes anything of it.
type codec struct{}

// Name implements encoding.CodecV2.
func (codec) Name() string { return protocodec.Name }

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	return encoding.GetCodecV2(protocodec.Name).Marshal(v) //nolint:wrapcheck // it is that codec
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	if message, ok := v.(proto.Message); ok && data.Len() > maxFields { // a field has a byte at least
		left := maxFields
		if err := countFields(data.Materialize(), message.ProtoReflect().Descriptor(), &left); err != nil {
			return err
		}
	}
	return encoding.GetCodecV2(protocodec.Name).Unmarshal(data, v) //nolint:wrapcheck // it is that codec
}

// countFields takes the fields of a message from what is left. It goes down as deep as the descriptors of the protocol do.
func countFields(data []byte, of protoreflect.MessageDescriptor, left *int) error {
	for len(data) > 0 {
		if *left--; *left < 0 {
			return errFields
		}
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return errors.New("it is no message")
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return errors.New("it is no message")
		}
		field := of.Fields().ByNumber(number)
		if kind == protowire.BytesType && field != nil && field.Message() != nil {
			inner, _ := protowire.ConsumeBytes(data)
			if err := countFields(inner, field.Message(), left); err != nil {
				return err
			}
		}
		data = data[n:]
	}
	return nil
}
