package ui_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a page in a browser of its own.
type tab struct {
	*testing.T
	ctx context.Context
	url string

	mu       sync.Mutex
	requests []string // addresses
	errors   []string // of scripts, and of the policy
}

// browser returns the path of Chromium. The test is skipped where there is none.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium on this machine: the page is not tested")
	return ""
}

// open opens a page of holdfast ui in Chromium.
func open(t *testing.T, address string, width, height int) *tab {
	t.Helper()
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(browser(t)), chromedp.WindowSize(width, height),
		chromedp.Flag("disable-dev-shm-usage", true),
	})
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	p := &tab{T: t, url: address}
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithListener(p.listen))
	t.Cleanup(func() {
		ending, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if err := chromedp.Cancel(ending); err != nil {
			t.Logf("the end of the browser: %v", err)
		}
		cancel()
	})
	p.ctx = ctx
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
		return err
	}))
	p.do(chromedp.EmulateViewport(int64(width), int64(height)))
	p.do(chromedp.Navigate(address))
	return p
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, ev.Request.URL)
	case *runtime.EventExceptionThrown:
		p.errors = append(p.errors, ev.ExceptionDetails.Text+" "+ev.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError {
			text, _ := json.Marshal(ev.Args)
			p.errors = append(p.errors, string(text))
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError {
			p.errors = append(p.errors, ev.Entry.Text)
		}
	}
}

func (p *tab) do(action chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, action); err != nil {
		p.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[V any](p *tab, script string) V {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[V](script))
	if err != nil {
		p.Fatal(err)
	}
	return v
}

// text returns the text of all elements that a selector matches.
func (p *tab) text(selector string) string {
	p.Helper()
	quoted, _ := json.Marshal(selector)
	return eval[string](p, `[...document.querySelectorAll(`+string(quoted)+
		`)].map((e) => e.textContent).join("\n")`)
}

// row returns the text of a name's row, or "".
func (p *tab) row(name string) string {
	p.Helper()
	quoted, _ := json.Marshal(name)
	return eval[string](p, `[...document.querySelectorAll(".row")].
		find((e) => e.dataset.id === `+string(quoted)+`)?.textContent ?? ""`)
}

// await waits until an element that a selector matches has all of the texts.
func (p *tab) await(selector string, texts ...string) {
	p.Helper()
	eventually(p, selector+" with "+strings.Join(texts, ", "), func() bool {
		shown := p.text(selector)
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return false
			}
		}
		return true
	})
}

// goTo changes the part of the address after #.
func (p *tab) goTo(hash string) {
	p.Helper()
	quoted, _ := json.Marshal("#/" + hash)
	p.do(chromedp.Evaluate[chromedp.Void](`location.hash = ` + string(quoted)))
}

// clean fails the test if a script failed, or a request left the host.
func (p *tab) clean() {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.errors {
		p.Errorf("the page: %s", text)
	}
	if len(p.requests) < 4 {
		p.Errorf("only %d requests were seen", len(p.requests))
	}
	own, err := url.Parse(p.url)
	if err != nil {
		p.Fatal(err)
	}
	for _, address := range p.requests {
		if at, err := url.Parse(address); err != nil || at.Host != own.Host {
			p.Errorf("a request to %s", address)
		}
	}
}
