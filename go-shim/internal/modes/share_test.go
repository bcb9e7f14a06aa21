package modes

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestRaisingTheShareMovesNoKeyBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2_000 {
		key := make([]byte, random.IntN(40))
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		taken := false
		for percent := range mostPercent + 1 {
			now := Canary(percent).Takes(key)
			if taken && !now {
				t.Fatalf("%x is taken by less than %d%%, but not by that", key, percent)
			}
			taken = now
		}
		if !ReverseShadow(1).Takes(key) || Shadow(100).Takes(key) || Again(100).Takes(key) {
			t.Fatalf("%x: a shadow forwards all or none", key)
		}
		if !taken || Canary(0).Takes(key) || Legacy.Takes(key) || !Sidecar.Takes(key) {
			t.Fatalf("%x: 100%% are all, and 0%% are none", key)
		}
	}
}

func TestTheShareIsThatOfTheKeys(t *testing.T) {
	for _, form := range []string{"account-%d", "%08d", "%d-acc", "\x0a\x05a%d"} {
		for _, percent := range []int{1, 5, 25, 50, 90} {
			const keys = 20_000
			taken := 0
			for n := range keys {
				if Canary(percent).Takes(fmt.Appendf(nil, form, n)) {
					taken++
				}
			}
			// Six standard deviations of a fair draw are at most 0.022 of the keys.
			if share := float64(taken) / keys; share < float64(percent)/100-0.022 || share > float64(percent)/100+0.022 {
				t.Errorf("%q at %d%%: %.3f", form, percent, share)
			}
		}
	}
}

// Another release must not move accounts, so these numbers never change.
func TestBucketsStayTheSame(t *testing.T) {
	for key, want := range map[string]uint64{"": 93, "a": 51, "b": 43, "account-1": 30, "account-2": 2, "00000001": 81, "GB29NWBK60161331926819": 77, "\n\x05alice": 18} {
		if got := bucket([]byte(key)); got != want {
			t.Errorf("%q is in bucket %d, not %d", key, got, want)
		}
	}
}

func TestModesAreReadAsTheyAreWritten(t *testing.T) {
	all := []Mode{Legacy, Sidecar}
	for percent := range mostPercent + 1 {
		all = append(all, Canary(percent), Canary(percent).Checked(100-percent))
	}
	for percent := 1; percent <= mostPercent; percent++ {
		all = append(all, Shadow(percent), ReverseShadow(percent), Again(percent), Canary(40).Checked(percent))
	}
	for _, mode := range all {
		if got, err := Parse(mode.String()); err != nil || got != mode || !mode.Valid() {
			t.Errorf("%v: %v, %v", mode, got, err)
		}
	}
	for _, text := range []string{"", "Legacy", "canary", "canary %", "canary 5", "canary  5%", "canary 05%", "canary 101%", "canary -1%", "canary 5 %", "canary +5%", "canary 1e1%", "5%",
		"legacy 5%", "sidecar 5%", "shadow 0%", "shadow 101%", "shadow 5", "shadow 5% check 5%", "aa 0%", "aa ", "reverse-shadow 0%", "reverse-shadow -1%",
		"canary 5% check", "canary 5% check 0%", "canary 5% check 101%", "canary 5% check 5% 5%", "canary 5% Check 5%", "canary 5%  check 5%", "mode(7)"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	for text, want := range map[string]Mode{"shadow": Shadow(100), "shadow 100%": Shadow(100), "reverse-shadow": ReverseShadow(1), "aa": Again(100), "aa 7%": Again(7)} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, mode := range []Mode{0, again + 1, shadow, reverse, again, Shadow(101), ReverseShadow(0), Canary(5).Checked(101), Legacy.Checked(1), Sidecar.Checked(1),
		Shadow(5) | 1<<kindBits, Legacy | 1<<kindBits, Canary(101), Canary(1 << 20)} {
		if mode.Valid() {
			t.Errorf("%v is taken for a mode", mode)
		}
	}
}
