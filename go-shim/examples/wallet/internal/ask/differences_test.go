package ask

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
)

func TestDifferencesAreSavedAsBytesAndText(t *testing.T) {
	d := Differences{Dir: filepath.Join(t.TempDir(), "differences")}
	q := New(0, &walletv1.GetBalanceRequest{AccountId: "acc-1"})
	for range mostSaved + 5 {
		d.Save(Difference{
			Sample{q, Answer{Position: 7, HasPosition: true, Reply: []byte{10, 0}}},
			Answer{Code: codes.NotFound, Message: "account_id: has no entries"}, "code: NotFound, not OK",
			"sidecar", "legacy",
		})
	}
	if d.Problem != nil || d.saved != mostSaved {
		t.Fatalf("%d saved, %v", d.saved, d.Problem)
	}
	one := filepath.Join(d.Dir, "01-GetBalance")
	for name, want := range map[string]string{
		"about.txt": "asked at position 7", "question.txt": `"acc-1"`, "1-sidecar.bin": "\n\x00",
		"1-sidecar.txt": "balances", "2-legacy.txt": "has no entries",
	} {
		text, err := os.ReadFile(filepath.Join(one, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
