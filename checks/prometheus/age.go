package prometheus

import (
	"context"
	"math"
	"time"

	"github.com/windsock-monitor/windsock/checks/internal/fetch"
)

// age is how old the oldest sample behind an answer was when it was evaluated, as far as that can be told.
type age struct {
	known    bool
	oldest   time.Duration
	why      string        // where it is not known: one line
	exchange *fetch.Answer // of the query for it; nil where none was made
	trouble  *problem      // of that query
	at       time.Time     // the evaluation, by the server's clock
	behind   time.Duration // how long ago that was, by ours
}

// age asks for the time of the oldest sample. Only timestamp() of a selector tells: the time that comes with an answer is
// that of its evaluation.
func (p *Prometheus) age(ctx context.Context, q Query, got answer) age {
	out := age{at: got.at}
	if !got.at.IsZero() {
		out.behind = time.Since(got.at)
	}
	switch {
	case len(got.samples) == 0:
		out.why = "there is no sample"
		return out
	case q.selector() == "":
		out.why = "not visible for an expression without age_of"
		return out
	}
	var times answer
	out.exchange, times, out.trouble = p.instant(ctx, "min(timestamp("+q.selector()+"))")
	switch {
	case out.trouble != nil:
		out.why = out.trouble.text
	case len(times.samples) != 1 || math.IsNaN(times.samples[0].value) || math.IsInf(times.samples[0].value, 0):
		out.why = "the selector has no sample"
	default:
		seconds := float64(times.at.UnixNano())/1e9 - times.samples[0].value
		out.known, out.oldest = true, time.Duration(min(max(seconds, 0), math.MaxInt32)*float64(time.Second))
	}
	return out
}
