package machine

import (
	"os"
	"strings"
	"testing"
)

func TestWhatIsUnknownIsSaidOrLeftOut(t *testing.T) {
	m := This("", "/no/hotpathd")
	if m.Walletd != "" || !strings.HasPrefix(m.Hotpathd, unknown) || m.Cores < 1 {
		t.Errorf("%+v", m)
	}
	dir := t.TempDir()
	if commit := Commit(t.Context(), dir); !strings.HasPrefix(commit, unknown) || strings.Contains(commit, "with changes") {
		t.Errorf("a commit of no repository: %s", commit)
	}
	Said(t.Context(), dir, "git", "init", "-q")
	Said(t.Context(), dir, "git", "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "--allow-empty", "-m", "x")
	clean := Commit(t.Context(), dir)
	if len(clean) != 40 {
		t.Errorf("commit %q", clean)
	}
	if err := os.WriteFile(dir+"/new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if dirty := Commit(t.Context(), dir); dirty != clean+" with changes" {
		t.Errorf("commit %q, then %q", clean, dirty)
	}
}
