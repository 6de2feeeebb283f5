package prometheus

import (
	"fmt"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/oneline"
)

// judge makes one result of all findings: the first of the worst decides, the others are counted. What was measured is
// kept, whatever became of the other queries.
func judge(findings []finding) checks.Result {
	decides, others := worstOf(findings)
	r := checks.Result{Status: checks.OK, Summary: goodNews(findings)}
	way := &findings[0]
	if decides != nil {
		p := decides.worst()
		r.Status, r.Cause, r.Blame = p.Status, p.Cause, p.Blame
		r.Summary = decides.query.Name + ": " + p.Text
		if others > 0 {
			r.Summary = oneline.Of(r.Summary, maxLine-40) + fmt.Sprintf(" (and %d more %s)", others, p.Status)
		}
		way = decides
	}
	r.Summary = oneline.Of(r.Summary, maxLine)
	if a := way.exchange; a != nil {
		r.Phases, r.Evidence = a.Phases, a.Evidence
		if a.Status != 0 {
			r.Measurements = append(r.Measurements, checks.Measurement{Name: "probe.http.status_code", Value: float64(a.Status)})
		}
	}
	for i := range findings {
		r.Measurements = append(r.Measurements, findings[i].measurements...)
		r.Evidence = append(r.Evidence, findings[i].evidence()...)
	}
	return r
}

// worstOf is the finding that decides, nil where all is well, and how many others are as bad. What was not asked shares
// the fate of what was.
func worstOf(findings []finding) (decides *finding, others int) {
	unasked := 0
	for _, status := range []checks.Status{checks.Error, checks.Failed, checks.Unknown, checks.Degraded} {
		for i := range findings {
			switch p := findings[i].worst(); {
			case findings[i].unasked:
				unasked++
			case p == nil || p.Status != status:
			case decides == nil:
				decides = &findings[i]
			default:
				others++
			}
		}
		if decides != nil {
			return decides, others + unasked
		}
		unasked = 0
	}
	return nil, 0
}

func goodNews(findings []finding) string {
	series := 0
	for i := range findings {
		series += findings[i].series
	}
	return plural(len(findings), "query") + ", " + plural(series, "series")
}

func (f *finding) evidence() []checks.Step {
	if f.unasked {
		return []checks.Step{{Name: "query", Detail: f.line("not asked: the server could not be reached")}}
	}
	steps := make([]checks.Step, 0, len(f.problems)+len(f.notes)+1)
	for _, p := range f.problems {
		steps = append(steps, checks.Step{Name: p.Step, Detail: f.line(p.Text)})
	}
	if len(f.problems) == 0 {
		detail := plural(f.series, "series")
		if f.age.known {
			detail += fmt.Sprintf(", the oldest sample %s old", short(f.age.oldest))
		}
		steps = append(steps, checks.Step{Name: "query", OK: true, Detail: f.line(detail)})
	}
	return append(steps, f.notes...)
}
