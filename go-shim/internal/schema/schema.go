// Package schema says what the bytes of a method mean, as one hash that both sides of the socket can compare.
//
// The text that is hashed is defined in ARCHITECTURE.md, "Schema hash".
package schema

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Errors of Find.
var (
	ErrBadName = errors.New("must be \"/package.Service/Method\"")
	ErrUnknown = errors.New("is not in any linked .pb.go: import the generated package, or correct the name")
)

// Find looks up "/package.Service/Method" among the generated code that is linked into this program.
func Find(fullMethod string) (protoreflect.MethodDescriptor, error) {
	service, name, ok := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	if !ok || fullMethod[0] != '/' || !protoreflect.FullName(service).IsValid() || !protoreflect.Name(name).IsValid() {
		return nil, ErrBadName
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	if err != nil {
		return nil, ErrUnknown
	}
	method, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, ErrUnknown
	}
	// The shim makes messages of both types, so their Go types must be linked too.
	for _, message := range []protoreflect.MessageDescriptor{method.Input(), method.Output()} {
		if _, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName()); err != nil {
			return nil, ErrUnknown
		}
	}
	return method, nil
}

// Hash returns the SHA-256 of Text.
func Hash(method protoreflect.MethodDescriptor) [sha256.Size]byte {
	return sha256.Sum256([]byte(Text(method)))
}

// Text returns the canonical description of the method and of everything reachable from its messages.
func Text(method protoreflect.MethodDescriptor) string {
	r := reachable{
		messages: map[protoreflect.FullName]protoreflect.MessageDescriptor{},
		enums:    map[protoreflect.FullName]protoreflect.EnumDescriptor{},
	}
	r.add(method.Input())
	r.add(method.Output())

	var text strings.Builder
	fmt.Fprintf(&text, "method /%s/%s %s %s\n",
		method.Parent().FullName(), method.Name(), method.Input().FullName(), method.Output().FullName())
	for _, name := range slices.Sorted(maps.Keys(r.messages)) {
		writeMessage(&text, r.messages[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.enums)) {
		writeEnum(&text, r.enums[name])
	}
	return text.String()
}

type reachable struct {
	messages map[protoreflect.FullName]protoreflect.MessageDescriptor
	enums    map[protoreflect.FullName]protoreflect.EnumDescriptor
}

func (r reachable) add(message protoreflect.MessageDescriptor) {
	if _, seen := r.messages[message.FullName()]; seen {
		return
	}
	r.messages[message.FullName()] = message
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if inner := field.Message(); inner != nil {
			r.add(inner)
		}
		if enum := field.Enum(); enum != nil {
			r.enums[enum.FullName()] = enum
		}
	}
}

func writeMessage(text *strings.Builder, message protoreflect.MessageDescriptor) {
	fmt.Fprintf(text, "message %s\n", message.FullName())
	fields := make([]protoreflect.FieldDescriptor, message.Fields().Len())
	for i := range fields {
		fields[i] = message.Fields().Get(i)
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	for _, field := range fields {
		fmt.Fprintf(text, "  %d %s %s %s\n", field.Number(), field.Name(), fieldType(field), cardinality(field))
	}
}

func fieldType(field protoreflect.FieldDescriptor) string {
	if message := field.Message(); message != nil {
		return "message " + string(message.FullName())
	}
	if enum := field.Enum(); enum != nil {
		return "enum " + string(enum.FullName())
	}
	return field.Kind().String()
}

func cardinality(field protoreflect.FieldDescriptor) string {
	oneof := field.ContainingOneof()
	switch {
	case field.IsList() || field.IsMap():
		return "repeated"
	case oneof != nil && !oneof.IsSynthetic():
		return "oneof " + string(oneof.Name())
	case field.Message() == nil && field.HasPresence():
		return "optional"
	default:
		return "singular"
	}
}

func writeEnum(text *strings.Builder, enum protoreflect.EnumDescriptor) {
	fmt.Fprintf(text, "enum %s\n", enum.FullName())
	values := make([]protoreflect.EnumValueDescriptor, enum.Values().Len())
	for i := range values {
		values[i] = enum.Values().Get(i)
	}
	slices.SortFunc(values, func(a, b protoreflect.EnumValueDescriptor) int {
		if a.Number() != b.Number() {
			return int(a.Number()) - int(b.Number())
		}
		return strings.Compare(string(a.Name()), string(b.Name()))
	})
	for _, value := range values {
		fmt.Fprintf(text, "  %d %s\n", value.Number(), value.Name())
	}
}
