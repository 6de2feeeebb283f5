package gate

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	mostShare   = 0.01            // by which the error share of the traffic may be above that before, whatever the factor says
	trafficSpan = 5 * time.Minute // that a value of the traffic is of
	trafficLate = 1.5             // times the error share before
)

// traffic judges what the application measures itself. The newest word must be there: silence is no good word.
func (j *judge) traffic() {
	for _, name := range j.e.TrafficAsked {
		if name == SpendPerRequest {
			j.request()
		} else {
			j.errors(name)
		}
	}
}

// errors judges the error share of the application's requests: at its worst, as a spike is not forgotten because it is over.
func (j *judge) errors(name string) {
	before, beforeID, compared := value(j.e.Samples, TrafficBefore, name)
	after, afterID, known := value(j.e.Samples, Traffic, name)
	c, limit := Criterion{Name: CriterionTraffic, Unit: ratio}, j.l.MaxErrorShare
	if compared {
		c.Baseline, c.Evidence = &before, []string{beforeID}
		limit = min(limit, max(before*trafficLate, before+mostShare))
	}
	if !known {
		j.mute(c)
		return
	}
	after, afterID = worst(j.e.Samples, name, after, afterID)
	c.Evidence = append(c.Evidence, afterID)
	if n := silent(j.e.Samples, name); n > 0 && after <= limit {
		c.Detail = fmt.Sprintf("the application's metrics did not say %d times, more than %s before they did again: what was then, nobody knows", n, trafficSpan)
		j.unknown(c)
		return
	}
	c.Detail = fmt.Sprintf("%s at worst, %s, at most %s", percent(after), than(before, compared, percent), percent(limit))
	j.weigh(c, after, limit)
}

// request judges what a request costs. Without a time before there is no limit of it.
func (j *judge) request() {
	before, beforeID, compared := value(j.e.Samples, TrafficBefore, SpendPerRequest)
	if !compared {
		return
	}
	after, afterID, known := value(j.e.Samples, Traffic, SpendPerRequest)
	c, limit := Criterion{Name: CriterionRequest, Unit: "USD", Baseline: &before, Evidence: []string{beforeID}}, before*j.l.Dearer
	if !known {
		j.mute(c)
		return
	}
	c.Evidence = append(c.Evidence, afterID)
	c.Detail = fmt.Sprintf("%s now, %s, at most %s", dollars(after), than(before, true, dollars), dollars(limit))
	j.weigh(c, after, limit)
}

// mute is what the metrics do not say.
func (j *judge) mute(c Criterion) {
	c.Detail = "the application's metrics do not say, which is not zero" + why(j.e.Samples)
	j.unknown(c)
}

// silent is how many samples of the traffic do not have a value, and are of a time that no later value covers.
func silent(all []Sample, name string) (n int) {
	var later time.Time
	for _, s := range slices.Backward(all) {
		if s.Role != Traffic {
			continue
		}
		if v, ok := s.Values[name]; ok && v >= 0 {
			later = s.At
		} else if later.Sub(s.At) > trafficSpan {
			n++
		}
	}
	return n
}

func than(before float64, known bool, show func(float64) string) string {
	if known {
		return show(before) + " before"
	}
	return "not known before"
}

// value is the one of the newest sample of a role; false where that one does not have it, or has what no share and no spend can
// be.
func value(all []Sample, role Role, name string) (v float64, id string, ok bool) {
	for _, s := range slices.Backward(all) {
		if s.Role == role {
			v, ok = s.Values[name]
			return v, s.ID, ok && v >= 0 && !math.IsInf(v, 0)
		}
	}
	return 0, "", false
}

// worst is the highest value of the traffic.
func worst(all []Sample, name string, v float64, id string) (highest float64, of string) {
	for _, s := range all {
		if other, ok := s.Values[name]; ok && s.Role == Traffic && other > v {
			v, id = other, s.ID
		}
	}
	return v, id
}

// why is what the newest traffic sample says.
func why(all []Sample) string {
	for _, s := range slices.Backward(all) {
		if s.Role == Traffic && s.Summary != "" {
			return ": " + s.Summary
		}
	}
	return ""
}
