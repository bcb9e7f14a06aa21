package page

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// testTimeout bounds waits. They reach it only if something is broken.
const testTimeout = 3 * time.Minute

//go:embed measure.js
var measure string

// tab is a page that is open in a browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// errors is what the console says of mistakes.
	errors []string
}

// open starts a browser and opens a page in it.
func open(t *testing.T, url string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(programs.browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := context.WithTimeout(context.Background(), 3*testTimeout)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	b.do(chromedp.Navigate(url))
	return b
}

func (b *tab) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		text = "console." + string(e.Type)
		for _, one := range e.Args {
			text += fmt.Sprintf(" %s", one.Value)
		}
	case *log.EventEntryAdded:
		text = fmt.Sprintf("%s %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errors = append(b.errors, text)
	}
}

// quiet fails the test if the console has any line.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.errors {
		b.t.Errorf("the console says: %s", text)
	}
	b.errors = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func command[P, R any](b *tab, c cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// await waits until an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[bool]("Boolean("+expression+")", chromedp.WithPollingInterval(50*time.Millisecond),
		chromedp.WithPollingTimeout(testTimeout)))
	if err != nil {
		b.t.Fatalf("%s: %v; the page says:\n%s", expression, err, b.text("body"))
	}
}

// text is what is to be read in an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// says waits until the text of an element contains something.
func (b *tab) says(selector, want string) {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector(%q).innerText.includes(%q)", selector, want))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	one := chromedp.CSS(selector)
	b.do(chromedp.WaitVisible(one), chromedp.Click(one))
}

// confirm goes through the dialog.
func (b *tab) confirm(who string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#ask-do")), chromedp.SetValue(chromedp.CSS("#who"), who))
	b.click("#ask-do")
	b.await("!document.querySelector('#ask').open")
}

// look sets width and colours.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	b.await(fmt.Sprintf("innerWidth === %d && matchMedia('(prefers-color-scheme: %s)').matches", width, scheme))
}

// layout is what measure.js finds.
type layout struct {
	// Sideways is how many pixels the page is wider than the window.
	Sideways int `json:"sideways"`
	// Faint are texts with too little contrast, Cut those that their box cuts off, Unnamed controls without a name.
	Faint   []string `json:"faint"`
	Cut     []string `json:"cut"`
	Unnamed []string `json:"unnamed"`
}

// check measures the page, and takes its picture.
func (b *tab) check(folder, name string) {
	b.t.Helper()
	found := eval[layout](b, measure)
	if found.Sideways > 0 {
		b.t.Errorf("%s: the page is %d px wider than the window", name, found.Sideways)
	}
	for what, all := range map[string][]string{"has too little contrast": found.Faint, "is cut off": found.Cut, "has no name": found.Unnamed} {
		if len(all) > 0 {
			b.t.Errorf("%s: %s: %s", name, what, strings.Join(all, "\n"))
		}
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	if n := colours(decoded); n < 20 {
		b.t.Errorf("%s: the picture has %d colours", name, n)
	}
}

// colours counts them, up to 1000.
func colours(picture image.Image) int {
	seen := make(map[[3]uint32]bool)
	area := picture.Bounds()
	for y := area.Min.Y; y < area.Max.Y && len(seen) < 1000; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}
