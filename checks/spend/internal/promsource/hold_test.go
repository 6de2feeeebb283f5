package promsource_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// holdWorld asks a server, real or recorded, about the world and compares with what was counted in it.
func holdWorld(t *testing.T, url, rest string) {
	t.Helper()
	t.Run("tokens", func(t *testing.T) { holdTokens(t, url, rest) })
	t.Run("a time zone", func(t *testing.T) { holdZone(t, url, rest) })
	t.Run("two spellings", func(t *testing.T) { holdGenAI(t, url, rest) })
	t.Run("dollars", func(t *testing.T) { holdDollars(t, url, rest) })
	t.Run("one of the processes", func(t *testing.T) { holdMatchers(t, url, rest) })
	t.Run("before there were data", func(t *testing.T) { holdBeginning(t, url, rest) })
}

func holdTokens(t *testing.T, url, rest string) {
	t.Helper()
	state := &source.Transient{}
	for range 2 { // anew, as after a restart: what is kept gives the same
		r, err := read(t, open(t, url, "preset: checklist_tokens\n"+rest, state, nil), then())
		if err != nil {
			t.Fatal(err)
		}
		now, midnight, month := then(), clock(0, 0), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
		got := map[string]int64{}
		for _, n := range r.Hour.Tokens {
			got[n.Model+" "+string(n.Direction)] = n.N
		}
		want := map[string]float64{}
		for _, s := range world() {
			want[s.model+" "+s.direction] += s.truth(now.Add(-time.Hour), now)
		}
		for what, n := range want {
			if !near(float64(got[what]), n) {
				t.Errorf("%s: got %d tokens in the last hour, want %v", what, got[what], n)
			}
		}
		for name, of := range map[string]struct {
			got  *source.Amount
			from time.Time
		}{"hour": {r.Hour, now.Add(-time.Hour)}, "today": {r.Today, midnight}, "month": {r.Month, month}} {
			if want := dollars(of.from, now); !nearUSD(of.got, want) {
				t.Errorf("%s: got %+v, want $%v", name, of.got, want)
			}
		}
		if r.Confidence != source.Partial || !strings.Contains(r.Why, "the server has no data of 2026-06-05 00:00 UTC") || !strings.Contains(r.Why, "found late") {
			t.Errorf("got %s because %q, want partial because the data begin late and a process was found late", r.Confidence, r.Why)
		}
		if !r.AsOf.Equal(clock(14, 34)) || len(r.Hour.Unpriced) > 0 || r.Hour.Requests != -1 {
			t.Errorf("as of %s, unpriced %v, %d requests", r.AsOf, r.Hour.Unpriced, r.Hour.Requests)
		}
		holdHours(t, r.Hours)
	}
}

// holdHours: the hour before, and those that the same 60 minutes of the days before lie in. The 5th has them already.
func holdHours(t *testing.T, got []source.Bucket) {
	t.Helper()
	var want []time.Time
	for back := 5; back > 0; back-- {
		want = append(want, clock(13, 0).AddDate(0, 0, -back), clock(14, 0).AddDate(0, 0, -back))
	}
	want = append(want, clock(13, 0))
	if len(got) != len(want) {
		t.Errorf("got hours %v, want %v", got, want)
		return
	}
	for i, b := range got {
		if cost := dollars(b.Start, b.Start.Add(time.Hour)); !b.Start.Equal(want[i]) || !near(b.Cost.USD(), cost) {
			t.Errorf("the hour of %s cost $%v, want that of %s, and $%v", b.Start.UTC(), b.Cost.USD(), want[i], cost)
		}
	}
}

func holdZone(t *testing.T, url, rest string) {
	t.Helper()
	zone, err := time.LoadLocation("America/St_Johns") // half an hour beside the others
	if err != nil {
		t.Fatal(err)
	}
	r, err := read(t, open(t, url, "preset: checklist_tokens\n"+rest, nil, zone), then())
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2026, 6, 10, 0, 0, 0, 0, zone)
	if want := dollars(midnight, then()); !nearUSD(r.Today, want) || !strings.Contains(r.Why, "no data of 2026-06-05 00:00 NDT") {
		t.Errorf("got %+v today (%s), want $%v since %s", r.Today, r.Why, want, midnight.UTC())
	}
	holdHours(t, r.Hours) // which are those of UTC
}

func holdGenAI(t *testing.T, url, rest string) {
	t.Helper()
	r, err := read(t, open(t, url, "preset: genai\n"+rest, nil, nil), then())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Hour.Tokens) != 2 || !near(float64(r.Hour.Tokens[0].N), 18000) || !near(float64(r.Hour.Tokens[1].N), 18000) || !nearUSD(r.Hour, 0.144) {
		t.Errorf("got %+v, want 100 and 200 tokens a minute in both directions", r.Hour)
	}
}

func holdDollars(t *testing.T, url, rest string) {
	t.Helper()
	for _, params := range []string{"preset: checklist_cost\n", "cost: {metric: mistral_cost_usd_total}\n"} {
		r, err := read(t, open(t, url, params+rest, nil, nil), then().AddDate(0, 0, -1))
		if err != nil {
			t.Fatal(err)
		}
		if !nearUSD(r.Hour, 1.2) || !nearUSD(r.Today, 0.02*(14*60+34)) || len(r.Hour.Tokens) > 0 {
			t.Errorf("got %+v in the hour and %+v today, want 2 cents a minute", r.Hour, r.Today)
		}
	}
}

func holdMatchers(t *testing.T, url, rest string) {
	t.Helper()
	const own = "tokens: {metric: mistral_tokens_total, input: [input], output: [output]}\nmatchers: 'instance=\"b\", job=~\"sh.p\"'\n"
	r, err := read(t, open(t, url, own+rest, nil, nil), then())
	if err != nil {
		t.Fatal(err)
	}
	// 5000 and 23 times 100; 900, and after the restart 250 and 14 times 4
	if len(r.Hour.Tokens) != 2 || !near(float64(r.Hour.Tokens[0].N), 7300) || !near(float64(r.Hour.Tokens[1].N), 1206) {
		t.Errorf("got %+v, want what the process b counted", r.Hour.Tokens)
	}
	if !strings.Contains(r.Why, "4 days of the month without a series") {
		t.Errorf("it says %q", r.Why)
	}
}

// holdBeginning: a server that began half an hour ago cannot tell of an hour, and says nothing of it.
func holdBeginning(t *testing.T, url, rest string) {
	t.Helper()
	r, err := read(t, open(t, url, "preset: checklist_tokens\n"+rest, nil, nil), begun().Add(30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if r.Hour != nil || r.Confidence != source.Partial || !strings.Contains(r.Why, "the server has no data of an hour ago") || len(r.Hours) > 0 {
		t.Errorf("got %+v %s because %q, want no hour", r.Hour, r.Confidence, r.Why)
	}
}
