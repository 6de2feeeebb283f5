package traffic

import (
	"fmt"
	"time"
)

// SpendPerRequest is the name of the question below.
const SpendPerRequest = "spend_per_request" // US dollars, over five minutes

// PerRequest asks what a request costs; false where the application has no metric of its spend or none of its requests. It is
// not among Questions: who compares two times asks it of both.
func PerRequest(m Metrics) (Question, bool) {
	const span = 5 * time.Minute
	if m.Cost == "" || m.requests() == "" {
		return Question{}, false
	}
	return Question{
		Name: SpendPerRequest, Unit: "USD", PromQL: "sum(" + m.grown(m.selector(m.Cost), span) + ") / (sum(" + m.grown(m.requests(), span) + ") > 0)",
		Doc: "US dollars of a request, over five minutes",
	}, true
}

// Ago is the question as it was answered that long ago, or within the minute before; itself for less than a second.
func Ago(q Question, ago time.Duration) Question {
	if ago >= time.Second {
		q.PromQL = fmt.Sprintf("last_over_time((%s)[1m:15s] offset %ds)", q.PromQL, (ago+time.Second-1)/time.Second)
	}
	return q
}
