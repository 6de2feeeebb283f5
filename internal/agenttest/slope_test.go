package agenttest_test

import (
	"math"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agenttest"
)

func TestSlope(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		x, y []float64
		want float64
	}{
		"a rising line":    {[]float64{0, 1, 2}, []float64{5, 7, 9}, 2},
		"a flat one":       {[]float64{0, 1, 2, 3}, []float64{4, 4, 4, 4}, 0},
		"noise around one": {[]float64{0, 1, 2, 3}, []float64{1, -1, -1, 1}, 0},
		"a single point":   {[]float64{1}, []float64{1}, 0},
		"nothing":          {nil, nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := agenttest.Slope(test.x, test.y); math.Abs(got-test.want) > 1e-9 {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
