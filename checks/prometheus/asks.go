package prometheus

import (
	"fmt"
	"strings"
	"time"
)

// Asks is the PromQL of an instant whose answer is the measurement query.NAME, and the labels of that answer; false for a
// name that the check does not ask for. A question over a range is a subquery.
func (p *Prometheus) Asks(name string) (question string, labels []string, ok bool) {
	for _, q := range p.queries {
		if q.Name == name {
			return q.instant(), q.By, true
		}
	}
	return "", nil, false
}

func (q Query) instant() string {
	query := q.Query
	if strings.Contains(query, "#") { // what is put behind it must not become part of a comment
		query += "\n"
	}
	if q.Range <= 0 {
		return query
	}
	over := fmt.Sprintf("(%s)[%s:%s]", query, promDuration(q.Range), promDuration(q.step()))
	if percent, ok := strings.CutPrefix(string(q.Aggregate), "p"); ok {
		return fmt.Sprintf("quantile_over_time(0.%s, %s)", percent, over)
	}
	return fmt.Sprintf("%s_over_time(%s)", q.Aggregate, over)
}

// promDuration is a duration as PromQL writes it: 90s, 1500ms.
func promDuration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}
