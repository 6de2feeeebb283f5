package spend

import (
	"math"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// usual is what 60 minutes cost at this time of the day, in dollars.
type usual struct{ median, mad float64 }

const (
	fewestDays = 5  // with both hours known, before anything is called usual
	mostDays   = 34 // that are looked back
)

// baseline is of the same 60 minutes of previous days, in now's zone; false where too few days are known. Hours are known
// whole, so the minutes of each count in proportion.
func baseline(hours []source.Bucket, now time.Time) (usual, bool) {
	var costs []float64
	for day := 1; day <= mostDays; day++ {
		if cost, whole := during(hours, now.AddDate(0, 0, -day)); whole {
			costs = append(costs, cost)
		}
	}
	if len(costs) < fewestDays {
		return usual{}, false
	}
	u := usual{median: median(costs)}
	for i, c := range costs {
		costs[i] = math.Abs(c - u.median)
	}
	u.mad = median(costs)
	return u, true
}

// during is what the 60 minutes before a time cost; false where a part of them is not known. Hours begin where their source
// has them begin: in a zone of half hours not where those of others do.
func during(hours []source.Bucket, end time.Time) (cost float64, whole bool) {
	begin, covered := end.Add(-time.Hour), time.Duration(0)
	for _, h := range hours {
		from, until := h.Start, h.Start.Add(time.Hour)
		if from.Before(begin) {
			from = begin
		}
		if until.After(end) {
			until = end
		}
		if part := until.Sub(from); part > 0 {
			covered += part
			cost += h.Cost.USD() * part.Hours()
		}
	}
	return cost, covered == time.Hour // more are hours of two alignments, of which some are told twice
}

// median sorts its argument.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

func (u usual) spike(hour float64, p Params) bool {
	return p.SpikeAbove > 0 && hour > p.SpikeFloor && hour > p.SpikeAbove*u.median && hour > u.median+5*u.mad
}

func (u usual) measurements(hour float64) []checks.Measurement {
	out := []checks.Measurement{
		{Name: "spend.baseline.usd", Value: u.median, Attrs: map[string]string{"stat": "median"}},
		{Name: "spend.baseline.usd", Value: u.mad, Attrs: map[string]string{"stat": "mad"}},
	}
	if u.median > 0 {
		out = append(out, checks.Measurement{Name: "spend.spike_factor", Value: hour / u.median})
	}
	return out
}
