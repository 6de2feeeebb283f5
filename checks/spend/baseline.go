package spend

import (
	"math"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

// usual is what an hour costs at this time of the day, in dollars.
type usual struct{ median, mad float64 }

const fewestDays = 5

// baseline is of the same hour of previous days; false where there are not enough.
func baseline(hours []source.Bucket, now time.Time) (usual, bool) {
	var costs []float64
	for _, h := range hours {
		if h.Start.In(now.Location()).Hour() == now.Hour() && now.Sub(h.Start) > 12*time.Hour {
			costs = append(costs, h.Cost.USD())
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
