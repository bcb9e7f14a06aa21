package adopting

import (
	"errors"
	"reflect"
	"testing"
)

func TestBlocksAreWhatTheirFencesSay(t *testing.T) {
	page := "text\n```sh\na\nb\n```\n```sh background\nc\n```\n```text\nd\n```\n```go x/y.go\n```\n```diff z\ne\n```\n"
	want := []block{{run, "", "a\nb\n", 2}, {serve, "", "c\n", 6}, {output, "", "d\n", 9}, {file, "x/y.go", "\n", 12},
		{patch, "z", "e\n", 14}}
	if got, err := blocks(page); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
	for _, bad := range []string{"```\n```\n", "```go\n```\n", "```sh\n", "```diff\n```\n"} {
		if got, err := blocks(bad); !errors.Is(err, errPage) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}
