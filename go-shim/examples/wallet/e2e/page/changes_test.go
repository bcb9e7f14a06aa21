package page

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	shim "hotpath.dev/go-shim"
	"hotpath.dev/go-shim/shimadmin"
)

// choose picks an option as a user does.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf("(() => { const n = document.querySelector(%q); n.value = %q; n.dispatchEvent(new Event(n.tagName === 'SELECT' ? 'change' : 'input')); return true })()", selector, value))
}

// button is the selector of a button in the row of a method.
func button(label string) string { return fmt.Sprintf("button[aria-label=%q]", label) }

func TestEveryChangeIsAskedAboutInWords(t *testing.T) {
	m, folder := demoted(), pictures(t)
	b := open(t, m.serve(t, shimadmin.Config{}))
	b.look(1200, "light")
	for i, c := range []struct {
		button string
		fill   func()
		words  []string
		want   string
	}{
		{"#rollback", nil, []string{"Go answers all 5 methods", "until somebody resumes"}, "rollback Zoë"},
		{button("Lift the demotion of GetStatistics"), nil, []string{"The sidecar answers GetStatistics for 25% of the keys", "demotes it again"}, "lift " + service + "GetStatistics Zoë"},
		{button("Set the mode of GetBalance"), func() { b.choose("#percent", "50"); b.choose("#check", "5") },
			[]string{"The sidecar answers GetBalance for 50% of the keys, and Go for the rest. 5% of the requests are compared.", "At present it is set to canary 25% check 10%."},
			"mode " + service + "GetBalance canary 50% check 5% Zoë"},
		{button("Set the mode of GetStatistics"), func() { b.choose("#kind", "sidecar") }, []string{"nothing is compared", "It is demoted: Go keeps answering"}, "mode " + service + "GetStatistics sidecar Zoë"},
		{button("Set the mode of GetBalance"), func() { b.choose("#kind", "canary"); b.choose("#percent", "0"); b.choose("#check", "0") }, []string{"Nothing is compared"}, "mode " + service + "GetBalance canary 0% Zoë"},
		{"#set-default", func() { b.choose("#kind", "shadow") }, []string{"the methods that have no mode of their own", "Every request is compared"}, "mode default shadow Zoë"},
		{"#set-default", func() { b.choose("#kind", "reverse-shadow") }, []string{"1% of the requests are compared", "Go keeps answering methods that are demoted"}, "mode default reverse-shadow 1% Zoë"},
		{"#set-default", func() { b.choose("#kind", "aa"); b.choose("#percent", "7") }, []string{"how often Go disagrees with itself"}, "mode default aa 7% Zoë"},
	} {
		m.set(func(m *made) { m.told = nil })
		b.click(c.button)
		if c.fill != nil {
			c.fill()
		}
		for _, words := range c.words {
			b.says("#ask-words", words)
		}
		for _, scheme := range []string{"light", "dark"} {
			b.look(1200, scheme)
			b.check(folder, fmt.Sprintf("dialog-%d-%s", i, scheme))
		}
		b.confirm("Zoë")
		if got := m.asked(); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
		b.says("#said", "Zoë: ")
	}
	b.quiet()
}

func TestNothingIsChangedWithoutANameOrAPercentage(t *testing.T) {
	m := wallet(shim.Canary(25))
	b := open(t, m.serve(t, shimadmin.Config{}))
	b.click("#rollback")
	b.click("#ask-do")
	b.says("#ask-error", "Say who you are")
	b.do(chromedp.SetValue(chromedp.CSS("#who"), strings.Repeat("Zoë", 20)))
	b.click("#ask-do")
	b.says("#ask-error", "This name is too long")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.await("!document.querySelector('#ask').open")

	b.click(button("Set the mode of GetBalance"))
	for _, text := range []string{"101", "", "-1", "1.5"} {
		b.choose("#percent", text)
		b.says("#ask-words", "must be whole numbers")
		b.await("document.querySelector('#ask-do').disabled")
	}
	b.click("#ask-cancel")
	if got := m.asked(); got != "" {
		t.Errorf("told %s", got)
	}

	// What the shim refuses is said where it was asked for.
	m.set(func(m *made) { m.err = shim.ErrNoKillFile })
	b.click("#rollback")
	b.do(chromedp.SetValue(chromedp.CSS("#who"), "ann"))
	b.click("#ask-do")
	b.says("#ask-error", "It was not done: the service has no kill file: set Config.KillFile")
	b.check(pictures(t), "refused")
	// The keyboard is enough, and the name is remembered.
	m.set(func(m *made) { m.err = nil; m.told = nil })
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.Focus(chromedp.CSS("#rollback")), chromedp.KeyEvent(kb.Enter))
	b.await("document.activeElement.id === 'ask-do'")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await("!document.querySelector('#ask').open")
	if got := m.asked(); got != "rollback ann" {
		t.Errorf("told %s", got)
	}
}

func TestReadOnlyHasNoControls(t *testing.T) {
	b := open(t, demoted().serve(t, shimadmin.Config{ReadOnly: true}))
	b.says("#headline", "GetStatistics is demoted")
	b.says("header", "read-only")
	if seen := eval[[]string](b, "[...document.querySelectorAll('button')].filter((n) => n.checkVisibility()).map((n) => n.innerText)"); len(seen) > 0 {
		t.Errorf("buttons: %v", seen)
	}
	b.quiet()
}

func TestOldDataAreSaidToBeOld(t *testing.T) {
	m, folder := demoted(), pictures(t)
	b := open(t, m.serve(t, shimadmin.Config{}))
	b.says("#tile-go", "/s")
	m.set(func(m *made) { m.down = true })
	b.says("#stale", "These data are old: the last are from ")
	b.says("#stale", "503 Service Unavailable")
	for _, scheme := range []string{"light", "dark"} {
		b.look(800, scheme)
		b.check(folder, "old-"+scheme)
	}
	m.set(func(m *made) { m.down = false })
	b.await("document.querySelector('#stale').hidden && !document.body.classList.contains('stale')")

	// The process is restarted, so its counters begin again.
	m.set(func(m *made) {
		m.status.HeadPosition = 777
		for i := range m.samples {
			m.samples[i].first = 0
		}
	})
	b.says("#head", "the ledger is at 777")
	if rate := b.text("#tile-go"); !regexp.MustCompile(`^[\d,]+/s$`).MatchString(rate) {
		t.Errorf("after a restart Go answers %s", rate)
	}
}

// TestNothingMovesWhileNumbersChange compares the places of all headings over several polls.
func TestNothingMovesWhileNumbersChange(t *testing.T) {
	m := wallet(shim.Canary(25).Checked(10))
	b := open(t, m.serve(t, shimadmin.Config{}))
	b.says("#notes", "Nothing needs attention.")
	b.await("/^[0-9]/.test(document.querySelector('#tile-go').innerText)")
	const places = "JSON.stringify([...document.querySelectorAll('h2, th, dd, button')].map((n) => { const r = n.getBoundingClientRect(); return [n.id || n.innerText, r.left, r.top, r.width] }))"
	before := eval[string](b, places)
	for head := range 4 {
		m.set(func(m *made) {
			m.status.HeadPosition += 98_765 << head
			for i := range m.status.Sidecars {
				m.status.Sidecars[i].SidecarPosition = m.status.HeadPosition
			}
			for i := range m.samples {
				m.samples[i].first *= 3
			}
		})
		b.says("#head", comma(m.Status().HeadPosition))
	}
	if after := eval[string](b, places); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
	b.quiet()
}

func comma(n uint64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// TestNamesAreNeverMarkup has markup wherever the shim's words are shown.
func TestNamesAreNeverMarkup(t *testing.T) {
	const evil = `"><img src=x onerror="window.hit=1"><script>window.hit=1</script>`
	m := wallet(shim.Canary(25))
	method := "/" + evil + "/Get"
	m.status.Modes = map[string]shim.Mode{method: shim.Canary(25)}
	m.status.Set = m.status.Modes
	m.status.Compared = map[string]shim.Compared{method: {Real: 1, Demoted: true}}
	m.status.Sidecars[0].OpenBreakers, m.status.Sidecars[0].Socket = []string{evil, method}, evil
	m.counter("hotpath_shim_differing_fields_total", 5, 1, "method", method, "field", evil)
	m.counter("hotpath_shim_fallbacks_total", 5, 100, "method", method, "reason", evil)
	m.counter("hotpath_shim_comparisons_dropped_total", 5, 100, "method", method, "reason", evil)
	m.err = errors.New(evil)
	b := open(t, m.serve(t, shimadmin.Config{PlanState: walkedBy(t, evil)}))
	for _, place := range []string{"#comparisons", "#notes", "#fallbacks", "#dropped", "#sidecars", "#plan-reason", "#methods"} {
		b.says(place, "onerror=")
	}
	b.click("#rollback")
	b.do(chromedp.SetValue(chromedp.CSS("#who"), "ann"))
	b.click("#ask-do")
	b.says("#ask-error", evil)
	b.do(chromedp.KeyEvent(kb.Escape))
	m.set(func(m *made) { m.status.Killed, m.status.KilledBy, m.err = true, evil, nil })
	b.says("#headline", evil)
	b.click("#resume")
	b.says("#ask-list", "Get: ")
	b.confirm(`<img src=x onerror="window.hit=1">`)
	b.says("#said", "<img")
	if eval[bool](b, "Boolean(window.hit || document.images.length)") {
		t.Error("markup was obeyed")
	}
	if scripts := eval[int](b, "document.scripts.length"); scripts != 1 {
		t.Errorf("%d scripts", scripts)
	}
}
