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

// Over asks what the metrics counted in a time of some length that ended some time ago: an estimate, as increase() makes it. Where
// the application was not seen nobody can tell, and there is no answer.
func (m Metrics) Over(length, ago time.Duration) []Question {
	past := ""
	if ago > 0 {
		past = fmt.Sprintf(" offset %ds", ago/time.Second)
	}
	sum := func(selector string) string {
		return fmt.Sprintf("sum(increase(%s[%ds]%s))", selector, length/time.Second, past)
	}
	var all []Question
	if m.Errors != "" {
		there := fmt.Sprintf("count(last_over_time(%s[%ds]%s))", m.there(), length/time.Second, past)
		all = append(all, Question{Name: FailedOver, PromQL: sum(m.selector(m.Errors)) + " or (0 * " + there + ")", Doc: "requests that failed"})
	}
	if requests := m.requests(); requests != "" {
		all = append(all, Question{Name: RequestsOver, PromQL: sum(requests), Doc: "requests"})
	}
	if m.Cost != "" {
		all = append(all, Question{Name: CostOver, PromQL: sum(m.selector(m.Cost)), Doc: "US dollars"})
	}
	return all
}
