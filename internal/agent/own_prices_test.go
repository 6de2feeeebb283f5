package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/store"
)

// The built-in prices are of 2026-08-21, and here it is New Year: whoever uses them is told.
func TestOldPricesAreWarnedOfWhereTheyCount(t *testing.T) {
	t.Parallel()
	const (
		builtIn = "the built-in prices were checked on 2026-08-21"
		fresh   = `{model: mistral-small-2603, input_per_million: 1, output_per_million: 2, checked_on: "2026-11-01"}`
		other   = "\n  - {name: embed, kind: embeddings, schedule: '@every 1h', with: {model: mistral-embed}}"
		asked   = "\n  - {name: usable, kind: usable, schedule: '@every 1h', with: {models: [mistral-embed]}}"
		spend   = "\n  - {name: spend, kind: spend, schedule: '@every 1h', with: {sources: [{ledger: {}}]}}"
	)
	for name, tc := range map[string]struct {
		prices, checks string
		want           []string
	}{
		"no own price":                         {"", "", []string{builtIn}},
		"every model has its own":              {"models: [" + fresh + "]", "", nil},
		"another check's model has none":       {"models: [" + fresh + "]", other, []string{builtIn}},
		"nor one that is asked for a token":    {"models: [" + fresh + "]", asked, []string{builtIn}},
		"the application may call any model":   {"models: [" + fresh + "]", spend, []string{builtIn}},
		"an own price of a model nobody calls": {`models: [{model: brand-new, minute: 1, checked_on: "2026-11-01"}]`, "", []string{builtIn}},
		"an own price that is old too":         {`models: [{model: mistral-small-2603, input_per_million: 1, checked_on: "2026-09-01"}]`, "", []string{"your price of mistral-small-2603 was checked on 2026-09-01, 122 days ago"}},
		"an own price of no day":               {"models: [{model: mistral-small-2603, input_per_million: 1}]", "", []string{"your price of mistral-small-2603 has no checked_on"}},
		"an old one that counts no more": {
			`models: [{model: mistral-small-2603, minute: 1, checked_on: "2026-01-01"}, {model: mistral-small-2603, input_per_million: 1, from: "2026-10-01", checked_on: "2026-11-01"}]`, "", nil,
		},
		"one that does not count yet": {
			`models: [{model: mistral-small-2603, input_per_million: 1, from: "2999-01-01", checked_on: "2026-11-01"}]`, "", []string{builtIn},
		},
		"nobody wants to be told": {"max_age: 0s", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.change("\nexporters:", tc.checks+"\nexporters:")
			h.change("budget:", "prices: {"+tc.prices+"}\nbudget:")
			cfg, err := h.load()
			if err != nil {
				t.Fatal(err)
			}
			called := agent.CostOf(cfg, h.registry()).Models
			got := agent.OldPrices(cfg, called, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
			if len(got) != len(tc.want) || len(got) > 0 && !strings.HasPrefix(got[0], tc.want[0]) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// ownPrice is dear: a prompt token costs a thousandth of a dollar, a cached one a tenth of that, a completion token five
// times as much. A run of the chat check costs 256 prompt tokens at the worst, and those of its prompt and its answer.
const ownPrice = `{model: mistral-small-2603, input_per_million: 1000, output_per_million: 5000, checked_on: "2026-11-01"}`

// once lets the chat check run once, with time enough for any machine.
func once(h *host) {
	h.change(`{name: chat, kind: chat, schedule: "@every 1s", timeout: 900ms,`, `{name: chat, kind: chat, schedule: "@every 1h", timeout: 5m,`)
}

func TestTheBudgetReservesByAnOwnPrice(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	once(h)
	h.change("budget: {per_hour: 1, per_day: 1}", "budget: {per_hour: 0.25, per_day: 0.25}\nprices: {models: ["+ownPrice+"]}")
	running, _, stop := h.start()
	h.until("the run is skipped, for it may cost more than there is", func() bool {
		last := check(running.Health(t.Context()), "chat")
		return last.Status == checks.Skipped && last.Cause == checks.CauseBudget
	})
	if spent := running.Health(t.Context()).Budget[0].SpentUSD; spent != 0 {
		t.Errorf("$%v were spent", spent)
	}
	stop()
	if rows := spendingOf(t, h); len(rows) != 0 {
		t.Errorf("got %+v in the ledger, want nothing", rows)
	}
}

func TestTheLedgerBooksByAnOwnPrice(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	once(h)
	h.change("budget:", "prices: {models: ["+ownPrice+"]}\nbudget:")
	running, _, stop := h.start()
	h.until("the run is well and booked", func() bool {
		health := running.Health(t.Context())
		return check(health, "chat").Status == checks.OK && health.Budget[0].SpentUSD > 0
	})
	stop()
	rows := spendingOf(t, h)
	if len(rows) != 1 {
		t.Fatalf("got %+v, want one run", rows)
	}
	r := rows[0]
	want := checks.PicoUSD(r.PromptTokens-r.CachedTokens)*checks.Dollar/1000 + checks.PicoUSD(r.CachedTokens)*checks.Dollar/10_000 +
		checks.PicoUSD(r.CompletionTokens)*checks.Dollar/200
	if r.Runs != 1 || r.PromptTokens == 0 || r.CompletionTokens == 0 || r.Cost != want || r.Reserved != 0 || r.Unpriced != 0 {
		t.Errorf("got %+v, want a run for %s", r, want)
	}
}

// spendingOf is what the ledger of an agent that has ended holds.
func spendingOf(t *testing.T, h *host) []checks.Spending {
	t.Helper()
	kept, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(h.dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	rows, err := kept.Ledger().Spending(t.Context(), time.Now().Add(-2*time.Hour), time.Now().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A file of prices is read again at a reload, and the budget counts by it from then on; one that is wrong changes nothing.
func TestAReloadReadsTheFileOfPrices(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	file := filepath.Join(h.dir, "prices.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("models: []\n")
	h.change("budget: {per_hour: 1, per_day: 1}", "budget: {per_hour: 0.25, per_day: 0.25}\nprices: {file: "+file+"}")
	running, reload, _ := h.start()
	chat := func(status checks.Status) func() bool {
		return func() bool { return check(running.Health(t.Context()), "chat").Status == status }
	}
	h.until("the run is well at the built-in price", chat(checks.OK))

	write("models:\n  - {model: mistral-small-2603, input_per_million: .nan}\n")
	reload <- syscall.SIGHUP
	h.until("a wrong file is refused in its place", func() bool {
		got := running.Health(t.Context()).Config
		return !got.ReloadOK && strings.HasPrefix(got.Error, file+":2:52: found .nan")
	})
	h.until("and runs go on", chat(checks.OK))

	write("models:\n  - " + ownPrice + "\n")
	reload <- syscall.SIGHUP
	h.until("what the file says now is more than the budget has", func() bool {
		last := check(running.Health(t.Context()), "chat")
		return last.Status == checks.Skipped && last.Cause == checks.CauseBudget
	})
}
