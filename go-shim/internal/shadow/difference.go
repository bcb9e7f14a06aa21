package shadow

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// MaxDifferences bounds the list for one pair of answers.
	MaxDifferences = 32
	maxValueBytes  = 200
	undecodable    = "(undecodable)"
	unknownFields  = "(unknown fields)"
	absent         = "(absent)"
)

// Difference is a place where two messages differ.
type Difference struct {
	// Path leads to the place, such as rows[3].amount. Field is the path without indexes and keys, such as rows.amount.
	Path, Field string
	// Go and Sidecar are what is there, at most 200 bytes of it.
	Go, Sidecar string
}

// Differences lists where two messages of the same type differ, at most MaxDifferences places.
func Differences(fromGo, fromSidecar proto.Message) []Difference {
	var w walk
	w.messages(place{}, fromGo.ProtoReflect(), fromSidecar.ProtoReflect())
	return w.found
}

func statusDifferences(fromGo, fromSidecar *spb.Status) []Difference {
	var w walk
	of := func(field string, a, b string) {
		if a != b {
			w.add(place{field, field}, a, b)
		}
	}
	of("status.code", codes.Code(fromGo.GetCode()).String(), codes.Code(fromSidecar.GetCode()).String())
	of("status.message", fromGo.GetMessage(), fromSidecar.GetMessage())
	if !proto.Equal(&spb.Status{Details: fromGo.GetDetails()}, &spb.Status{Details: fromSidecar.GetDetails()}) {
		w.add(place{"status.details", "status.details"}, fmt.Sprint(fromGo.GetDetails()), fmt.Sprint(fromSidecar.GetDetails()))
	}
	return w.found
}

type place struct{ path, field string }

func (p place) to(name protoreflect.Name) place {
	if p.path == "" {
		return place{string(name), string(name)}
	}
	return place{p.path + "." + string(name), p.field + "." + string(name)}
}

func (p place) at(index string) place { return place{p.path + "[" + index + "]", p.field} }

type walk struct{ found []Difference }

func (w *walk) full() bool { return len(w.found) == MaxDifferences }

func (w *walk) add(p place, a, b string) {
	if !w.full() {
		w.found = append(w.found, Difference{p.path, p.field, shortened(a), shortened(b)})
	}
}

func shortened(text string) string {
	if len(text) > maxValueBytes {
		return text[:maxValueBytes] + "…"
	}
	return text
}

func (w *walk) messages(p place, a, b protoreflect.Message) {
	fields := a.Descriptor().Fields()
	for i := 0; i < fields.Len() && !w.full(); i++ {
		field := fields.Get(i)
		w.field(p.to(field.Name()), field, a, b)
	}
	if !bytes.Equal(a.GetUnknown(), b.GetUnknown()) && !proto.Equal(onlyUnknown(a), onlyUnknown(b)) {
		w.add(p.to(unknownFields), length(a.GetUnknown()), length(b.GetUnknown()))
	}
}

// onlyUnknown lets proto.Equal decide whether unknown fields differ, because their order may.
func onlyUnknown(m protoreflect.Message) proto.Message {
	alone := m.New()
	alone.SetUnknown(m.GetUnknown())
	return alone.Interface()
}

func length(data []byte) string { return strconv.Itoa(len(data)) + " bytes" }

func (w *walk) field(p place, field protoreflect.FieldDescriptor, a, b protoreflect.Message) {
	switch {
	case !a.Has(field) && !b.Has(field):
	case field.IsMap():
		w.maps(p, field.MapValue(), a.Get(field).Map(), b.Get(field).Map())
	case field.IsList():
		w.lists(p, field, a.Get(field).List(), b.Get(field).List())
	case field.HasPresence() && a.Has(field) != b.Has(field):
		show := func(m protoreflect.Message) string {
			if !m.Has(field) {
				return absent
			}
			return text(field, m.Get(field))
		}
		w.add(p, show(a), show(b))
	default:
		w.values(p, field, a.Get(field), b.Get(field))
	}
}

func (w *walk) lists(p place, field protoreflect.FieldDescriptor, a, b protoreflect.List) {
	for i := range min(a.Len(), b.Len()) {
		w.values(p.at(strconv.Itoa(i)), field, a.Get(i), b.Get(i))
	}
	if a.Len() != b.Len() {
		w.add(p, fmt.Sprintf("%d elements", a.Len()), fmt.Sprintf("%d elements", b.Len()))
	}
}

func (w *walk) maps(p place, value protoreflect.FieldDescriptor, a, b protoreflect.Map) {
	var keys []protoreflect.MapKey
	collect := func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	}
	a.Range(collect)
	b.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool { return a.Has(key) || collect(key, v) })
	slices.SortFunc(keys, func(x, y protoreflect.MapKey) int { return cmp.Compare(x.String(), y.String()) })
	for _, key := range keys {
		at := p.at(key.String())
		switch {
		case !b.Has(key):
			w.add(at, text(value, a.Get(key)), absent)
		case !a.Has(key):
			w.add(at, absent, text(value, b.Get(key)))
		default:
			w.values(at, value, a.Get(key), b.Get(key))
		}
	}
}

func (w *walk) values(p place, field protoreflect.FieldDescriptor, a, b protoreflect.Value) {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.messages(p, a.Message(), b.Message())
		return
	case protoreflect.BytesKind:
		if bytes.Equal(a.Bytes(), b.Bytes()) {
			return
		}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if equalFloats(a.Float(), b.Float()) {
			return
		}
	default:
		if a.Interface() == b.Interface() {
			return
		}
	}
	w.add(p, text(field, a), text(field, b))
}

// text shows a value as a reader of the schema expects it.
func text(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch field.Kind() {
	case protoreflect.EnumKind:
		if value := field.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name())
		}
		return strconv.Itoa(int(v.Enum()))
	case protoreflect.BytesKind:
		return fmt.Sprintf("%x", v.Bytes())
	case protoreflect.StringKind:
		return strconv.Quote(v.String())
	default:
		return v.String()
	}
}
