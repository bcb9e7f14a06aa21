package shadow

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// tree makes a message with maps, lists, unions and every depth.
func tree(random *rand.Rand, depth int) *structpb.Value {
	switch kind := random.IntN(6); {
	case kind == 0 && depth > 0:
		fields := map[string]*structpb.Value{}
		for range random.IntN(4) {
			fields[fmt.Sprint("k", random.IntN(5))] = tree(random, depth-1)
		}
		return structpb.NewStructValue(&structpb.Struct{Fields: fields})
	case kind == 1 && depth > 0:
		list := &structpb.ListValue{}
		for range random.IntN(4) {
			list.Values = append(list.Values, tree(random, depth-1))
		}
		return structpb.NewListValue(list)
	case kind == 2:
		return structpb.NewBoolValue(random.IntN(2) == 0)
	case kind == 3:
		return structpb.NewNumberValue([]float64{0, 1, math.NaN(), math.Inf(1)}[random.IntN(4)])
	case kind == 4:
		return structpb.NewNullValue()
	default:
		return structpb.NewStringValue(fmt.Sprint(random.IntN(3)))
	}
}

func TestThereIsADifferenceIfAndOnlyIfMessagesDiffer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	equal := 0
	for range 20_000 {
		a, b := tree(random, 3), tree(random, 3)
		if random.IntN(3) == 0 {
			b = proto.CloneOf(a)
		}
		found := Differences(a, b)
		if proto.Equal(a, b) {
			equal++
		}
		if proto.Equal(a, b) != (len(found) == 0) {
			t.Fatalf("%v and %v: %v", a, b, found)
		}
		if len(found) > MaxDifferences {
			t.Fatalf("%d differences", len(found))
		}
	}
	if equal < 1000 || equal > 15_000 {
		t.Fatalf("%d of the pairs are equal: the test shows little", equal)
	}
}

func TestDifferencesNameThePlace(t *testing.T) {
	value := func(v any) *structpb.Value {
		made, err := structpb.NewValue(v)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	unknown := wrapperspb.String("x")
	unknown.ProtoReflect().SetUnknown([]byte{0x78, 1})
	for want, pair := range map[string][2]proto.Message{
		`list_value.values[1].string_value list_value.values.string_value "b" "c"`: {value([]any{"a", "b"}), value([]any{"a", "c"})},
		`list_value.values list_value.values 1 elements 2 elements`:                {value([]any{"a"}), value([]any{"a", "b"})},
		`struct_value.fields[x].number_value struct_value.fields.number_value 1 2`: {value(map[string]any{"x": 1}), value(map[string]any{"x": 2})},
		`seconds seconds 1 2`:                               {&durationpb.Duration{Seconds: 1}, &durationpb.Duration{Seconds: 2}},
		`value value 6162 63`:                               {wrapperspb.Bytes([]byte("ab")), wrapperspb.Bytes([]byte("c"))},
		`(unknown fields) (unknown fields) 2 bytes 0 bytes`: {unknown, wrapperspb.String("x")},
	} {
		found := Differences(pair[0], pair[1])
		if len(found) != 1 {
			t.Errorf("%v", found)
			continue
		}
		d := found[0]
		if got := strings.Join([]string{d.Path, d.Field, d.Go, d.Sidecar}, " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	present := Differences(value("a"), value(1))
	if len(present) != 2 || present[0].Go != absent || present[0].Sidecar != "1" || present[1].Go != `"a"` || present[1].Sidecar != absent {
		t.Errorf("%v", present)
	}
}

func TestLongListsAndValuesAreCutShort(t *testing.T) {
	a, b := &structpb.ListValue{}, &structpb.ListValue{}
	for range 1000 {
		a.Values = append(a.Values, structpb.NewStringValue(strings.Repeat("a", 1000)))
		b.Values = append(b.Values, structpb.NewStringValue(strings.Repeat("b", 1000)))
	}
	found := Differences(a, b)
	if len(found) != MaxDifferences || len(found[0].Go) > maxValueBytes+len("…") {
		t.Errorf("%d, of %d bytes", len(found), len(found[0].Go))
	}
}

func TestStatusesDifferByCodeMessageAndDetails(t *testing.T) {
	detail, err := anypb.New(wrapperspb.String("x"))
	if err != nil {
		t.Fatal(err)
	}
	for want, pair := range map[string][2]*spb.Status{
		"status.code":    {{Code: 5}, {Code: 6}},
		"status.message": {{Code: 5, Message: "a"}, {Code: 5}},
		"status.details": {{Code: 5}, {Code: 5, Details: []*anypb.Any{detail}}},
	} {
		if found := statusDifferences(pair[0], pair[1]); len(found) != 1 || found[0].Field != want {
			t.Errorf("%s: %v", want, found)
		}
	}
	if found := statusDifferences(nil, &spb.Status{Code: 5}); len(found) != 1 || found[0].Go != "OK" || found[0].Sidecar != "NotFound" {
		t.Errorf("%v", found)
	}
}
