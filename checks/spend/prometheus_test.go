package spend_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/spend"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

func network(t *testing.T) *outbound.Network {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// counters is a Prometheus that has seen so many input tokens of mistral-small-latest in every window.
func counters(tokens float64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sk-a-canary" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		at, query := r.FormValue("time"), r.FormValue("query")
		began, _ := strconv.Atoi(at)
		rows := []string{}
		for i := 0; strings.Contains(query, fmt.Sprintf(`"windsock_window", "%d"`, i)); i++ {
			row := `{"metric":{"windsock_part":%q,"windsock_window":"%d","model":"mistral-small-latest","direction":"input"},"value":[%s,"%g"]}`
			rows = append(rows, fmt.Sprintf(row, "grown", i, at, tokens), fmt.Sprintf(row, "seen", i, at, 1.0))
		}
		if strings.Contains(query, "timestamp(") {
			rows = append(rows, fmt.Sprintf(`{"metric":{"windsock_part":"oldest"},"value":[%s,"%d"]}`, at, began-5))
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`+strings.Join(rows, ",")+`]}}`)
	}
}

func prometheus(url string) string {
	return "sources: [{prometheus: {url: \"" + url + "\", preset: checklist_tokens, auth: {bearer: a-reference}}}]\n"
}

func TestTheKindPassesTheSuiteWithAPrometheus(t *testing.T) {
	checktest.Run(t, spend.Kind(), checktest.Options{
		Key: "sk-a-canary",
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: prometheus(outboundtest.Serve(t, counters(1000))), Env: checks.Env{Network: network(t)}}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			return checktest.Case{Params: prometheus("http://" + outboundtest.Refused(t)), Env: checks.Env{Network: network(t)}}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			url, reached := outboundtest.Hung(t)
			return checktest.Case{Params: prometheus(url), Env: checks.Env{Network: network(t)}, Reached: reached}
		},
		Refused: map[string]string{
			"nothing to count":         "sources: [{prometheus: {url: \"http://a.example\"}}]",
			"two sections of a source": "sources: [{ledger: {}, prometheus: {url: \"http://a.example\", preset: genai}}]",
		},
	})
}

func TestCountersInAPrometheusArePricedAndJudged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tokens float64
		status checks.Status
		says   string
	}{
		"few":  {1e6, checks.OK, "in the last hour (prometheus, estimated)"},
		"many": {1e8, checks.Degraded, "$15.00 in the last hour, want at most $10.00"},
	} {
		check, err := spend.Kind().New(checktest.Decoder(prometheus(outboundtest.Serve(t, counters(tc.tokens))), "sk-a-canary"), checks.Env{Network: network(t), Memory: &kept{}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := checktest.Valid(r); err != nil {
			t.Errorf("%s: not valid: %v", name, err)
		}
		baseline, ok := value(r, "spend.baseline.usd")
		if r.Status != tc.status || !strings.Contains(r.Summary, tc.says) || !ok || baseline <= 0 {
			t.Errorf("%s: got %s %q with a baseline of %v, want %s %q", name, r.Status, r.Summary, baseline, tc.status, tc.says)
		}
	}
}

// slow is a ledger that never answers the first question.
type slow struct {
	book
	first sync.Once
}

func (s *slow) Spending(ctx context.Context, since, until time.Time) ([]checks.Spending, error) {
	hangs := false
	s.first.Do(func() { hangs = true })
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.book.Spending(ctx, since, until)
}

func TestASourceThatHangsLeavesTheOthersTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &slow{book: book{rows: spent(0, 0, checks.Dollar)}}
		check, err := spend.Kind().New(checktest.Decoder("sources: [{ledger: {}}, {ledger: {}, name: second}]", ""), checks.Env{Ledger: ledger})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := check.Run(ctx)
		if hour, ok := value(r, "spend.hour.usd"); err != nil || !ok || hour != 1 || r.Status != checks.Degraded {
			t.Errorf("got %s %q (%v) and $%v, want degraded, and the $1 of the second source", r.Status, r.Summary, err, hour)
		}
	})
}
