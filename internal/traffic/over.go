package traffic

import (
	"fmt"
	"time"
)

// The names of the questions about a time that is over.
const (
	FailedOver   = "failed_over"   // requests
	RequestsOver = "requests_over" // all of them
	CostOver     = "cost_over"     // US dollars
)

// Over asks what the metrics counted in a time of some length that ended some time ago, in whole seconds. Where the
// application was not seen nobody can tell, and there is no answer.
func (m Metrics) Over(length, ago time.Duration) []Question {
	p := past{length / time.Second, ago / time.Second, m.requests()}
	var all []Question
	if m.Errors != "" {
		there := "count(last_over_time(" + m.there() + p.window() + "))"
		all = append(all, Question{Name: FailedOver, PromQL: "sum(" + p.grown(m.selector(m.Errors)) + ") or (0 * " + there + ")", Doc: "requests that failed"})
	}
	if p.requests != "" {
		all = append(all, Question{Name: RequestsOver, PromQL: "sum(" + p.grown(p.requests) + ")", Doc: "requests"})
	}
	if m.Cost != "" {
		all = append(all, Question{Name: CostOver, PromQL: "sum(" + p.grown(m.selector(m.Cost)) + ")", Doc: "US dollars"})
	}
	return all
}

// past is a time that is over, in seconds.
type past struct {
	length, ago time.Duration
	requests    string // the selector of the counter of requests; "" where there is none
}

// end is a selector at the end of the time, and begin at its beginning.
func (p past) end(x string) string {
	if p.ago <= 0 {
		return x
	}
	return fmt.Sprintf("%s offset %ds", x, p.ago)
}

func (p past) begin(x string) string { return fmt.Sprintf("%s offset %ds", x, p.length+p.ago) }

func (p past) window() string {
	return p.end(fmt.Sprintf("[%ds]", p.length))
}

// grown is what Metrics.grown is, for a time that is over.
func (p past) grown(x string) string {
	told := fmt.Sprintf("%s == 1 or %s >= time() - %d", p.begin("up"), p.end("process_start_time_seconds"), p.length+p.ago+60)
	if p.requests != "" {
		told += " or " + p.begin(p.requests)
	}
	increase := "increase(" + x + p.window() + ")"
	return "(" + increase + " and resets(" + x + p.window() + ") > 0" +
		" or (" + p.end(x) + " - " + p.begin(x) + ") >= 0" +
		" or (" + p.end(x) + " and " + p.begin(x) + ")" +
		" or (" + p.end(x) + " and on (job, instance) (" + told + "))" +
		" or " + increase + ")"
}
