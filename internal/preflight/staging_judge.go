package preflight

import (
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// mostRefused is how often a key that was refused may be tried: once more, for one that was exchanged meanwhile.
const mostRefused = 2

// common judges what every fault has in common; nil where it says nothing.
func (st *stage) common(o observed) *finding {
	var f finding
	switch n := len(o.requests); {
	case o.storm || n > st.s.MaxRequests:
		f = fail("retry a few times, with a growing pause, and then give up", "%d requests for one question: a retry storm; want at most %d", n, st.s.MaxRequests)
	case n == 0:
		f = blocked("close its circuit breaker sooner, and run this again", "no request reached the simulator")
	case late(o.answer):
		f = fail("give the provider's client a timeout below what users wait for", "no answer within %s, after %s", st.s.AnswerWithin, many(n, "request"))
	case o.answer.failure != nil && o.answer.failure.Cause == checks.CauseResponseTooLarge:
		f = fail("bound what is answered", "the answer has more than %d MiB", mostBody>>20)
	case o.answer.failure != nil:
		f = fail("answer with a status that says what is wrong", "the application gave no answer: %s", o.answer.problem())
	default:
		return nil
	}
	return &f
}

func late(a answer) bool {
	return a.failure != nil && (a.failure.Deadline || a.failure.Cause == checks.CauseTimeout)
}

// summary is what was seen, for a person.
func summary(o observed) string {
	if o.answer.status == 0 {
		return many(len(o.requests), "request") + ", and no answer"
	}
	return fmt.Sprintf("%s, then %d after %s", many(len(o.requests), "request"), o.answer.status, o.answer.took.Round(time.Millisecond))
}

func (st *stage) judgeServer(o observed) finding {
	if f := st.common(o); f != nil {
		return *f
	}
	var total time.Duration
	gaps := pauses(o.requests)
	for _, gap := range gaps {
		total += gap
	}
	if len(gaps) == 0 {
		return pass("%s; it did not ask again", summary(o))
	}
	mean := total / time.Duration(len(gaps))
	if mean < st.s.MinBackoff {
		return fail("pause before each retry, and longer each time", "%s; on the average it paused %s before it asked again, want %s", summary(o), mean.Round(time.Millisecond), st.s.MinBackoff)
	}
	return pass("%s; on the average it paused %s before it asked again", summary(o), mean.Round(time.Millisecond))
}

func (st *stage) judgeLimited(o observed) finding {
	if f := st.common(o); f != nil {
		return *f
	}
	gaps := pauses(o.requests)
	for _, gap := range gaps {
		if gap < st.s.RetryAfter*95/100 {
			return fail("wait as long as Retry-After says, or do not ask again", "%s; it asked again after %s, and Retry-After said %s", summary(o), gap.Round(time.Millisecond), st.s.RetryAfter)
		}
	}
	if len(gaps) == 0 {
		return pass("%s; it did not ask again", summary(o))
	}
	return pass("%s; it waited as Retry-After said, %s", summary(o), st.s.RetryAfter)
}

func (st *stage) judgeTimeout(o observed) finding {
	if f := st.common(o); f != nil {
		return *f
	}
	return pass("%s", summary(o))
}

func (st *stage) judgeRefused(o observed) finding {
	tried := 0
	for _, q := range o.requests {
		if q.key == 0 {
			tried++
		}
	}
	if tried > mostRefused && tried <= st.s.MaxRequests {
		return fail("do not retry a 401: the same key is refused again", "%s; the refused key was tried %d times, want %d at most", summary(o), tried, mostRefused)
	}
	if f := st.common(o); f != nil {
		return *f
	}
	if tried == 0 {
		return blocked("start it anew, and run this again", "the application did not use the key that is refused: it may remember another")
	}
	return pass("%s; the refused key was tried %s", summary(o), times(tried))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return "twice"
}

// pauses are the times between an answer and the next request with the same key. Two that overlap have none between them.
func pauses(all []asked) []time.Duration {
	last := map[int]asked{}
	var out []time.Duration
	for _, q := range all {
		if before, ok := last[q.key]; ok {
			done := before.done
			if done.IsZero() || done.After(q.at) {
				done = q.at
			}
			out = append(out, q.at.Sub(done))
		}
		last[q.key] = q
	}
	return out
}
