package prometheus

import (
	"context"
	"math"
	"time"

	"github.com/windsock-monitor/windsock/checks/internal/fetch"
	"github.com/windsock-monitor/windsock/checks/internal/promql"
)

// age is how old the oldest sample behind an answer was when it was evaluated, as far as that can be told.
type age struct {
	known    bool
	oldest   time.Duration
	why      string          // where it is not known: one line
	exchange *fetch.Answer   // of the query for it; nil where none was made
	trouble  *promql.Problem // of that query
	at       time.Time       // the evaluation, by the server's clock
	behind   time.Duration   // how long ago that was, by ours
}

// age asks for the time of the oldest sample. Only timestamp() of a selector tells: the time that comes with an answer is
// that of its evaluation.
func (p *Prometheus) age(ctx context.Context, q Query, got promql.Answer) age {
	out := age{at: got.At}
	if !got.At.IsZero() {
		out.behind = time.Since(got.At)
	}
	switch {
	case len(got.Samples) == 0:
		out.why = "there is no sample"
		return out
	case q.selector() == "":
		out.why = "not visible for an expression without age_of"
		return out
	}
	var times promql.Answer
	out.exchange, times, out.trouble = p.server.Instant(ctx, "min(timestamp("+q.selector()+"))", time.Time{})
	switch {
	case out.trouble != nil:
		out.why = out.trouble.Text
	case len(times.Samples) != 1 || math.IsNaN(times.Samples[0].Value) || math.IsInf(times.Samples[0].Value, 0):
		out.why = "the selector has no sample"
	default:
		seconds := float64(times.At.UnixNano())/1e9 - times.Samples[0].Value
		out.known, out.oldest = true, time.Duration(min(max(seconds, 0), math.MaxInt32)*float64(time.Second))
	}
	return out
}
