package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/models"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/mistral/mistraltest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/pricing"
)

// kept is a memory, and a full disk where it has an error.
type kept struct {
	data      []byte
	loadError error
	saveError error
}

func (k *kept) Load(context.Context) ([]byte, error) { return k.data, k.loadError }

func (k *kept) Save(_ context.Context, data []byte) error {
	if k.saveError == nil {
		k.data = data
	}
	return k.saveError
}

// past is the store's records of changes.
type past struct {
	samples []checks.Sample
	err     error
}

func (p *past) Since(_ context.Context, measurement string, since time.Time) ([]checks.Sample, error) {
	if measurement != "probe.llm.model.changes" {
		return nil, fmt.Errorf("asked for %s", measurement)
	}
	old := func(s checks.Sample) bool { return s.At.Before(since) }
	return slices.DeleteFunc(slices.Clone(p.samples), old), p.err
}

// world is a provider whose cards can be changed.
type world struct {
	t      *testing.T
	mu     sync.Mutex // guards cards
	cards  map[string]map[string]any
	memory kept
	past   past
	killed bool // before the record is kept
	url    string
	used   []string
	own    []pricing.Price // that the configuration has
	header http.Header     // of the answers
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cards: map[string]map[string]any{}, header: http.Header{}}
	for id, name := range map[string]string{"mistral-small-latest": "mistral-small-2603", "mistral-small-2603": "mistral-small-2603", "ministral-14b-2512": "ministral-14b-2512"} {
		w.cards[id] = map[string]any{
			"id": id, "name": name, "capabilities": map[string]bool{"completion_chat": true, "vision": true},
			"max_context_length": 262144, "default_model_temperature": 0.3, "type": "base",
		}
	}
	w.url = outboundtest.Serve(t, func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		maps.Copy(rw.Header(), w.header)
		var all []string
		for _, id := range slices.Sorted(maps.Keys(w.cards)) {
			text, err := json.Marshal(w.cards[id])
			if err != nil {
				t.Error(err)
			}
			all = append(all, string(text))
		}
		list(all...)(rw, r)
	})
	return w
}

func (w *world) set(id, key string, value any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cards[id][key] = value
}

// learning teaches a price book what the list says, as the agent does.
type learning struct {
	models.Provider
	book *pricing.Book
}

func (l learning) Models(ctx context.Context) ([]mistral.Model, mistral.Call) {
	all, call := l.Provider.Models(ctx)
	var cards []pricing.Card
	for i := range all {
		cards = append(cards, pricing.Card{ID: all[i].ID, Name: all[i].Name, Billing: all[i].BillingName})
	}
	l.book.Learn(time.Now(), cards)
	return all, call
}

// run makes a check anew, as after a restart, and runs it.
func (w *world) run(params string) checks.Result {
	w.t.Helper()
	book := pricing.NewBook(pricing.Default().With(w.own), "")
	check, err := models.Kind().New(checktest.Decoder(params, ""), checks.Env{
		Provider: learning{mistraltest.Client(w.t, w.url, checktest.Secret(key)), book}, Prices: book, Memory: &w.memory, History: &w.past, Models: func() []string { return w.used },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := check.Run(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		w.t.Errorf("not valid: %v", err)
	}
	if n := counted(r, "probe.llm.model.changes"); n > 0 && !w.killed {
		w.past.samples = append(w.past.samples, checks.Sample{At: time.Now(), Value: n})
	}
	return r
}

func counted(r checks.Result, name string) (n float64) {
	for _, m := range r.Measurements {
		if m.Name == name {
			n += m.Value
		}
	}
	return n
}

func TestTheRunThatSeesAChangeTellsItOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(w *world)
		says   string
		moves  float64
	}{
		"an alias moves to a dearer model": {
			func(w *world) { w.set("mistral-small-latest", "name", "ministral-14b-2512") },
			"mistral-small-latest moved from mistral-small-2603 to ministral-14b-2512, input +33 %, output -67 %", 1,
		},
		"an alias moves to a model without a price": {
			func(w *world) { w.set("mistral-small-latest", "name", "mistral-small-9") },
			"moved from mistral-small-2603 to mistral-small-9, and what that does to the price is not known", 1,
		},
		"an alias moves to a model that is billed as another": {
			func(w *world) {
				w.set("mistral-small-latest", "name", "mistral-small-9")
				w.set("mistral-small-latest", "billing_model_name", "ministral-14b-2512")
			},
			"mistral-small-latest moved from mistral-small-2603 to mistral-small-9, billed as ministral-14b-2512, input +33 %, output -67 %", 1,
		},
		"it is billed as another, and costs something else": {
			func(w *world) { w.set("mistral-small-latest", "billing_model_name", "ministral-14b-2512") },
			"price of mistral-small-latest: input $0.2, cached $0.02, output $0.2, billed as ministral-14b-2512; was input $0.15, cached $0.015, output $0.6", 0,
		},
		"a retirement is announced": {
			func(w *world) {
				w.set("mistral-small-latest", "deprecation", "2093-01-31T12:00:00Z")
				w.set("mistral-small-latest", "deprecation_replacement_model", "mistral-small-5")
			},
			"retirement of mistral-small-latest: 2093-01-31, replaced by mistral-small-5, was none announced", 0,
		},
		"a capability is lost": {
			func(w *world) {
				w.set("mistral-small-latest", "capabilities", map[string]bool{"completion_chat": true})
			},
			"mistral-small-latest lost vision", 0,
		},
		"the context shrinks": {
			func(w *world) { w.set("mistral-small-latest", "max_context_length", 32768) },
			"context length of mistral-small-latest is 32768, was 262144", 0,
		},
		"the default temperature changes": {
			func(w *world) { w.set("mistral-small-latest", "default_model_temperature", nil) },
			"default temperature of mistral-small-latest is none, was 0.3", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.used = []string{"mistral-small-latest"}
			for range 2 {
				if r := w.run(""); r.Status != checks.OK || counted(r, "probe.llm.model.changes") != 0 {
					t.Fatalf("before: %s %s", r.Status, r.Summary)
				}
			}
			tc.change(w)
			r := w.run("")
			if r.Status != checks.Degraded || r.Cause != checks.CauseAssertion || r.Blame != checks.BlameProvider || !strings.Contains(r.Summary, tc.says) {
				t.Errorf("%s %s %s: %s, want %q", r.Status, r.Cause, r.Blame, r.Summary, tc.says)
			}
			if n, moves := counted(r, "probe.llm.model.changes"), counted(r, "probe.llm.model.moves"); n != 1 || moves != tc.moves {
				t.Errorf("%v changes and %v moves are counted, want 1 and %v", n, moves, tc.moves)
			}
			if r := w.run(""); r.Status != checks.OK {
				t.Errorf("after: %s %s", r.Status, r.Summary)
			}
			history, err := models.ReadHistory(w.memory.data)
			if err != nil || len(history.Changes) != 1 {
				t.Errorf("remembered: %+v, %v", history.Changes, err)
			}
		})
	}
}

func TestAModelThatIsUsedAndNotListedIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used = []string{"devstral-2512"}
	if r := w.run(""); r.Status != checks.Failed || r.Cause != checks.CauseModelGone || !strings.Contains(r.Summary, "devstral-2512") {
		t.Errorf("%s %s %s", r.Status, r.Cause, r.Summary)
	}
}

func TestAnAliasIsNotPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run("watch: {mistral-small-latest: {policy: pinned}}")
	if r.Status != checks.Degraded || r.Blame != checks.BlameConfig || counted(r, "probe.llm.model.floating") != 1 {
		t.Errorf("%s %s %s", r.Status, r.Blame, r.Summary)
	}
	if r := w.run("watch: {mistral-small-2603: {policy: pinned}}"); r.Status != checks.OK {
		t.Errorf("a pinned id: %s %s", r.Status, r.Summary)
	}
}

func TestARetirementThatIsNearDegrades(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set("mistral-small-2603", "deprecation", time.Now().Add(20*24*time.Hour).UTC().Format(time.RFC3339))
	w.set("mistral-small-2603", "deprecation_replacement_model", "mistral-small-5")
	r := w.run("expect: [mistral-small-2603]")
	if r.Status != checks.Degraded || !strings.Contains(r.Summary, "retires in 19 days, to be replaced by mistral-small-5") {
		t.Errorf("%s %s", r.Status, r.Summary)
	}
	if r := w.run("expect: [mistral-small-2603]\nretire_within: 240h"); r.Status != checks.OK {
		t.Errorf("with a nearer objective: %s %s", r.Status, r.Summary)
	}
}

// Where nobody knows what was before, nobody can say that nothing changed.
func TestAMemoryThatFailsIsNotGreenAndTakesNothingAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fails func(*kept)
		says  string
	}{
		"cannot be read":  {func(k *kept) { k.loadError = errors.New("the disk is gone") }, "no change can be told: the disk is gone"},
		"cannot be kept":  {func(k *kept) { k.saveError = errors.New("the disk is full") }, "cannot be kept: the disk is full"},
		"holds something": {func(k *kept) { k.data = []byte("{broken") }, "it begins anew, and what changed until now cannot be told"},
	} {
		w := newWorld(t)
		const params = "expect: [mistral-small-latest]"
		if r := w.run(params); r.Status != checks.OK {
			t.Fatalf("%s: before: %s %s", name, r.Status, r.Summary)
		}
		tc.fails(&w.memory)
		r := w.run(params)
		if r.Status != checks.Degraded || r.Cause != checks.CauseInternal || r.Blame != checks.BlameNone || !strings.Contains(r.Summary, tc.says) || counted(r, "probe.llm.model.listed") != 1 {
			t.Errorf("%s: %s %s %q: %s", name, r.Status, r.Cause, r.Blame, r.Summary)
		}
		if r := w.run(params + "\nmin_count: 99"); r.Status != checks.Failed || r.Cause != checks.CauseAssertion {
			t.Errorf("%s: a failure became %s %s", name, r.Status, r.Cause)
		}
		w.memory = kept{data: w.memory.data}
		if r := w.run(params); r.Status != checks.OK {
			t.Errorf("%s: after: %s %s", name, r.Status, r.Summary)
		}
	}
}

func TestWhatIsNotListedIsRememberedSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const params = "expect: [mistral-small-latest, nobody-knows-7b]\nmin_count: 0"
	listed := func() string {
		history, err := models.ReadHistory(w.memory.data)
		if err != nil || history.ListedAt.IsZero() || !slices.Equal(history.Watched, []string{"mistral-small-latest", "nobody-knows-7b"}) {
			t.Errorf("remembered: %+v, %v", history, err)
		}
		return fmt.Sprint(history.Listed("mistral-small-latest"), history.Listed("nobody-knows-7b"), len(history.Cards))
	}
	w.run(params)
	if got, want := listed(), "true false 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	clear(w.cards)
	w.run(params) // an empty list
	if got, want := listed(), "false false 1"; got != want {
		t.Errorf("after an empty list: got %s, want %s", got, want)
	}
}

func TestAnotherBillingNameIsAChangeAndUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used = []string{"mistral-small-latest"}
	w.run("")
	w.set("mistral-small-latest", "billing_model_name", "mistral-small-2603")
	if r := w.run(""); r.Status != checks.OK {
		t.Errorf("a billing name that was not said before: %s %s", r.Status, r.Summary)
	}
	w.set("mistral-small-latest", "billing_model_name", "mistral-small-2603-launch-discount")
	r := w.run("")
	if want := "price of mistral-small-latest: not known, billed as mistral-small-2603-launch-discount; was input $0.15, cached $0.015, output $0.6"; r.Status != checks.Degraded ||
		r.Blame != checks.BlameProvider || !strings.HasSuffix(r.Summary, want) || counted(r, "probe.llm.model.moves") != 0 {
		t.Errorf("%s %s: %s, want …%s", r.Status, r.Blame, r.Summary, want)
	}
}

func TestAnotherBillingNameAtTheSamePriceIsAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used = []string{"mistral-small-latest"}
	w.own = []pricing.Price{{Model: "the-sale", Input: 150_000, Cached: 15_000, Output: 600_000, Own: true}}
	w.set("mistral-small-latest", "billing_model_name", "mistral-small-2603")
	w.run("")
	w.set("mistral-small-latest", "billing_model_name", "the-sale")
	r := w.run("")
	const want = "price of mistral-small-latest: input $0.15, cached $0.015, output $0.6, billed as the-sale; was input $0.15, cached $0.015, output $0.6"
	if r.Status != checks.Degraded || r.Blame != checks.BlameProvider || r.Summary != want || counted(r, "probe.llm.model.moves") != 0 {
		t.Errorf("%s %s: %s, want %s", r.Status, r.Blame, r.Summary, want)
	}
}

func TestAnotherPriceInOurOwnTableIsNotTheProvidersFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used = []string{"mistral-small-latest"}
	w.run("")
	w.own = []pricing.Price{{Model: "mistral-small-2603", Input: 2_000_000, Cached: 200_000, Output: 3_000_000, Own: true}}
	dear := w.run("")
	w.own = []pricing.Price{{Model: "mistral-small-2603", Minute: 1, Own: true}}
	for want, r := range map[string]checks.Result{
		"price of mistral-small-latest: input $2, cached $0.2, output $3; was input $0.15, cached $0.015, output $0.6": dear,
		"price of mistral-small-latest: not known; was input $2, cached $0.2, output $3":                               w.run(""),
	} {
		if r.Status != checks.Degraded || r.Blame != checks.BlameConfig || r.Summary != want {
			t.Errorf("%s %s: %s, want %s", r.Status, r.Blame, r.Summary, want)
		}
	}
}

func TestWhatAnIdStandsForIsItsCanonicalName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		id, name, billing, canonical, billedAs string
		floats                                 bool
	}{
		"an alias":                          {"mistral-small-latest", "mistral-small-2603", "mistral-small-2603", "mistral-small-2603", "", true},
		"a model":                           {"mistral-small-2603", "mistral-small-2603", "mistral-small-2603", "mistral-small-2603", "", false},
		"an alias without a billing name":   {"mistral-small", "mistral-small-2603", "", "mistral-small-2603", "", true},
		"an alias that is billed as a sale": {"mistral-large", "mistral-large-4", "mistral-large-4-sale", "mistral-large-4", "mistral-large-4-sale", true},
		"a model that is billed as a sale":  {"mistral-large-4", "mistral-large-4", "mistral-large-4-sale", "mistral-large-4", "mistral-large-4-sale", false},
		"an alias that names itself":        {"mistral-medium-latest", "mistral-medium-latest", "mistral-medium-3-5", "mistral-medium-3-5", "", true},
		"an alias of that alias":            {"mistral-medium", "mistral-medium-latest", "mistral-medium-3-5", "mistral-medium-latest", "mistral-medium-3-5", true},
		"a card without names":              {"x", "", "", "x", "", false},
	} {
		w := newWorld(t)
		w.cards = map[string]map[string]any{tc.id: {"id": tc.id, "name": tc.name, "billing_model_name": tc.billing}}
		r := w.run("watch: {" + tc.id + ": {policy: pinned}}")
		history, err := models.ReadHistory(w.memory.data)
		if err != nil {
			t.Fatal(err)
		}
		card := history.Cards[tc.id]
		if card.Canonical != tc.canonical || card.BilledAs() != tc.billedAs || counted(r, "probe.llm.model.floating") == 1 != tc.floats {
			t.Errorf("%s: stands for %q, billed as %q, %v; want %+v", name, card.Canonical, card.BilledAs(), r.Summary, tc)
		}
	}
}

// TestTheMeasurementsOfARunStayWithinTheirBound has as many models as may be watched, of which everything is known and changes,
// and a provider that tells more rate limits than any does.
func TestTheMeasurementsOfARunStayWithinTheirBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var watch []string
	for i := range 20 {
		id := fmt.Sprintf("model-%02d-latest", i)
		w.cards[id] = map[string]any{
			"id": id, "name": "mistral-small-2603", "capabilities": map[string]bool{"vision": true}, "max_context_length": 262144,
			"default_model_temperature": 0.3, "deprecation": "2093-01-31T12:00:00Z",
		}
		watch = append(watch, id+": {policy: pinned}")
	}
	for i := range 15 {
		w.header.Set(fmt.Sprintf("X-Ratelimit-Limit-Req-%d-Minute", i), "10")
		w.header.Set(fmt.Sprintf("X-Ratelimit-Remaining-Req-%d-Minute", i), "5")
	}
	params := "watch: {" + strings.Join(watch, ", ") + "}"
	w.run(params)
	for i, id := range slices.Sorted(maps.Keys(w.cards)) {
		w.set(id, "capabilities", nil)
		w.set(id, "max_context_length", 1000)
		w.set(id, "default_model_temperature", 0.7)
		w.set(id, "deprecation", "2094-01-31T12:00:00Z")
		w.set(id, []string{"name", "billing_model_name"}[i%2], "ministral-14b-2512") // moves, or only costs another price
	}
	r := w.run(params)
	for name, want := range map[string]float64{
		"probe.llm.model.changes": 100, "probe.llm.model.moves": 10, "probe.llm.model.listed": 20, "probe.llm.model.floating": 20,
	} {
		if got := counted(r, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	limits := slices.ContainsFunc(r.Measurements, func(m checks.Measurement) bool { return m.Name == "probe.llm.rate_limit.share" })
	if n := len(r.Measurements); n > 200 || !limits {
		t.Errorf("%d measurements, rate limits among them: %v; want at most 200", n, limits)
	}
}

func TestWhatIsToBeWatchedComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 40 {
		id := fmt.Sprintf("a-model-%02d", i)
		w.cards[id] = map[string]any{"id": id, "name": id}
		w.used = append(w.used, id)
	}
	r := w.run("watch: {mistral-small-latest: {policy: pinned}}\nexpect: [a-model-39, ministral-14b-2512]")
	history, err := models.ReadHistory(w.memory.data)
	if err != nil || len(history.Watched) != 20 || !slices.Equal(history.Watched[:4], []string{"mistral-small-latest", "a-model-39", "ministral-14b-2512", "a-model-00"}) ||
		len(history.LeftOut) != 22 {
		t.Errorf("watched: %v, left out %v, %v", history.Watched, history.LeftOut, err)
	}
	said := slices.ContainsFunc(r.Evidence, func(s checks.Step) bool {
		return s.Name == "watch" && strings.Contains(s.Detail, "20 are watched over time, and these are only looked for in the list: a-model-17, a-model-18")
	})
	if counted(r, "probe.llm.model.floating") != 1 || !said || !strings.Contains(r.Summary, "is to be pinned and can move") {
		t.Errorf("%s %s, evidence %+v", r.Status, r.Summary, r.Evidence)
	}
	if r := w.run(""); r.Status != checks.OK || r.Summary != "43 models listed, all 40 expected among them, 20 of which are too many to be watched over time" {
		t.Errorf("%s %s", r.Status, r.Summary)
	}
}

// The memory is saved before the record of the run is: who is killed in between has told nobody.
func TestAChangeWithoutARecordIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used = []string{"mistral-small-latest", "mistral-small-2603"}
	moves := func() float64 {
		r := w.run("")
		return counted(r, "probe.llm.model.moves")
	}
	moves()
	w.killed = true
	w.set("mistral-small-latest", "name", "ministral-14b-2512")
	if got := moves(); got != 1 {
		t.Fatalf("%v moves, want 1", got)
	}
	w.killed = false
	w.set("mistral-small-2603", "max_context_length", 1000)
	r := w.run("")
	again := strings.Contains(r.Summary, "mistral-small-latest moved from mistral-small-2603 to ministral-14b-2512, input +33 %, output -67 %, seen at 2")
	if r.Status != checks.Degraded || !again || counted(r, "probe.llm.model.moves") != 1 || counted(r, "probe.llm.model.changes") != 2 {
		t.Errorf("the next run: %s %s, %+v", r.Status, r.Summary, r.Measurements)
	}
	for range 3 {
		if r := w.run(""); r.Status != checks.OK || counted(r, "probe.llm.model.changes") != 0 {
			t.Errorf("after its record: %s %s", r.Status, r.Summary)
		}
	}
	history, err := models.ReadHistory(w.memory.data)
	if err != nil || len(history.Changes) != 2 {
		t.Errorf("remembered: %+v, %v", history.Changes, err)
	}
}

func TestAChangeThatNeverHasARecordIsNotToldForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used, w.killed = []string{"mistral-small-latest"}, true
	w.run("")
	w.set("mistral-small-latest", "name", "ministral-14b-2512")
	told := 0
	for range 9 {
		told += int(counted(w.run(""), "probe.llm.model.moves"))
	}
	if told != 3 {
		t.Errorf("told %d times, want 3", told)
	}
}

func TestWhereNobodyKnowsOfTheRecordTheChangeIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.used, w.past.err = []string{"mistral-small-latest"}, errors.New("the disk is gone")
	if r := w.run(""); r.Status != checks.OK {
		t.Errorf("nothing to tell: %s %s", r.Status, r.Summary)
	}
	w.killed = true
	w.set("mistral-small-latest", "name", "ministral-14b-2512")
	w.run("")
	r := w.run("")
	said := slices.ContainsFunc(r.Evidence, func(s checks.Step) bool {
		return s.Name == "memory" && strings.Contains(s.Detail, "cannot be read, so it is told again: the disk is gone")
	})
	if r.Status != checks.Degraded || counted(r, "probe.llm.model.moves") != 1 || !said {
		t.Errorf("%s %s, %+v", r.Status, r.Summary, r.Evidence)
	}
}

// TestAPriceOfOneDirectionIsNoPrice: what answers cost is not nothing where nobody knows it.
func TestAPriceOfOneDirectionIsNoPrice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.own = []pricing.Price{{Model: "ministral-14b-2512", Input: 300_000}}
	w.used = []string{"mistral-small-latest"}
	w.run("")
	w.set("mistral-small-latest", "name", "ministral-14b-2512")
	r := w.run("")
	if !strings.HasSuffix(r.Summary, "to ministral-14b-2512, and what that does to the price is not known") || counted(r, "probe.llm.model.price.usd") != 0 {
		t.Errorf("%s, prices %v", r.Summary, counted(r, "probe.llm.model.price.usd"))
	}
}
