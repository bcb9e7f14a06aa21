package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotpath.dev/go-shim/internal/evidence"
	"hotpath.dev/go-shim/internal/shadow"
)

func message(text string) evidence.Message {
	return evidence.Message{Bytes: []byte("x"), JSON: json.RawMessage(text), Length: 1}
}

func TestADifferenceIsExplained(t *testing.T) {
	folder := t.TempDir()
	kept, err := evidence.Open(folder, 10)
	if err != nil {
		t.Fatal(err)
	}
	if out, code, err := call(t, "explain", folder); code != 0 || !strings.Contains(out, "holds no evidence") {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	name, err := kept.Keep(&evidence.Capture{
		Time: time.UnixMilli(1_800_000_000_123), Ledger: "ledger-1", Method: "/a.B/C", Position: 42, Answered: "sidecar",
		Request:     message(`{"account":"alice"}`),
		Go:          evidence.Reply{Code: "OK", Message: message(`{"a":1,"b":[1,2,3,4,5,6,7,8,9,10,11,12],"amount":"5","only":true}`)},
		Sidecar:     evidence.Reply{Code: "OK", Message: message(`{"a":1,"b":[1,2,3,4,5,6,7,8,9,10,11,12],"amount":"6"}`)},
		Differences: []shadow.Difference{{Path: "amount", Field: "amount", Go: "5", Sidecar: "6"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, code, err := call(t, "explain", filepath.Join(folder, name))
	if code != 0 {
		t.Fatalf("exit %d, %v", code, err)
	}
	const gap = "                                         "
	for _, want := range []string{
		"/a.B/C at position 42 of ledger ledger-1, 2027-01-15T08:00:00Z\nThe caller got the sidecar's answer.\n",
		"request\n{\n  \"account\": \"alice\"\n}\n",
		"1 differences\n  where   Go  sidecar\n  amount  5   6\n",
		"Go                                                         sidecar\n...",
		"\n  \"amount\": \"5\"," + gap + "|   \"amount\": \"6\"\n",
		"\n  \"only\": true" + gap + "  <\n}",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("not there: %q\n%s", want, out)
		}
	}
	if err := kept.Demote(evidence.Demotion{Method: "/a.B/C", Time: time.UnixMilli(1_800_000_000_123)}); err != nil {
		t.Fatal(err)
	}
	out, code, err = call(t, "explain", folder)
	if code != 0 || !strings.Contains(out, name+"  /a.B/C  position 42  amount\n") || !strings.Contains(out, "demoted: /a.B/C, since 2027-01-15T08:00:00Z") {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	for _, want := range []string{"no longer demoted", "was not demoted"} {
		if out, code, err := call(t, "lift", "--evidence", folder, "/a.B/C"); code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, %v: %s", code, err, out)
		}
	}
}

func TestStatusesAndWhatIsNotKeptAreExplained(t *testing.T) {
	var c command
	var out strings.Builder
	c.out = &out
	c.print(&evidence.Capture{Answered: "go", Redacted: true, Request: evidence.Message{Length: 9},
		Go: evidence.Reply{Code: "NotFound", Text: "nobody"}, Sidecar: evidence.Reply{Code: "OK", Message: evidence.Message{Length: 7}}})
	for _, want := range []string{"Go's answer", "removed something", "(9 bytes that are not kept", "NotFound", "(7 bytes that are not kept", "nobody"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not there: %q\n%s", want, out.String())
		}
	}
}

func TestLongRepliesAreNotLaidSideBySide(t *testing.T) {
	var long []string
	for n := range mostLines + 1 {
		long = append(long, fmt.Sprint(n))
	}
	var out strings.Builder
	sideBySide(&out, long, []string{"a"})
	if !strings.Contains(out.String(), "too long") {
		t.Error(out.String())
	}
	wide := strings.Repeat("ü", 100)
	out.Reset()
	sideBySide(&out, []string{wide}, []string{"b"})
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(line)); n > 2*columnWidth+4 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
