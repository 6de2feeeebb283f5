package alerts

import (
	"slices"
	"time"
)

// maxSamples bounds one window. With more the oldest go first: the window is then shorter than the rule says.
const maxSamples = 1 << 16

// sample is one number in a window.
type sample struct {
	at int64 // nanoseconds since 1970
	v  float64
}

// window keeps the samples of the last runs, or of the last so long, and what aggregates need of them. Adding and
// dropping a sample costs no more than moving the sorted values.
type window struct {
	leaf    *leaf
	group   *instance
	member  string   // of a share
	all     []sample // those from head on count, oldest first
	of      []uint64 // the run of each of all, where the window is one of runs
	head    int
	runs    int       // distinct runs in it
	sorted  []float64 // where the aggregate asks for an order
	tail    float64   // sum of the samples after those of front, where the aggregate asks for one
	front   []float64 // sums of the oldest samples, each with those after it, the sum of all on top: nothing is ever taken from a sum
	opened  uint64    // the run that is being counted
	growing float64   // what that run counted so far
	fresh   bool      // a sample of this process is or was in it
	held    bool      // the condition held when there were samples enough to tell
	from    []*target // whose runs without a match add 0
}

func (w *window) len() int { return len(w.all) - w.head }

// push adds a sample of a run. Times never go back within a window.
func (w *window) push(s sample, run uint64) {
	if w.len() > 0 {
		s.at = max(s.at, w.all[len(w.all)-1].at)
	}
	w.makeRoom()
	w.all = append(w.all, s)
	if w.leaf.runs > 0 {
		if w.len() == 1 || w.of[len(w.of)-1] != run {
			w.runs++
		}
		w.of = append(w.of, run)
	}
	if w.leaf.summed {
		w.tail += s.v
	}
	if w.leaf.ordered {
		i, _ := slices.BinarySearch(w.sorted, s.v)
		w.sorted = slices.Insert(roomy(w.sorted), i, s.v)
	}
	for w.len() > maxSamples || (w.leaf.runs > 0 && w.runs > w.leaf.runs) {
		w.pop()
	}
}

// makeRoom puts what was dropped to use before it takes more memory: a window that is full stays about as large as its
// samples are.
func (w *window) makeRoom() {
	if len(w.all) < cap(w.all) {
		return
	}
	if w.head > cap(w.all)/16 {
		w.all = slices.Delete(w.all, 0, w.head)
		w.of = slices.Delete(w.of, 0, min(w.head, len(w.of)))
		w.head = 0
		return
	}
	w.all = roomy(w.all)
}

// roomy is s with room for one more, and not for much more: append would double it.
func roomy[T any](s []T) []T {
	if len(s) < cap(s) {
		return s
	}
	return append(make([]T, 0, len(s)+len(s)/8+1), s...)
}

// expire drops what is too old at now.
func (w *window) expire(now int64) {
	if w.leaf.span == 0 {
		return
	}
	for w.len() > 0 && w.all[w.head].at <= now-int64(w.leaf.span) {
		w.pop()
	}
}

func (w *window) pop() {
	s := w.all[w.head]
	if w.leaf.summed {
		if len(w.front) == 0 {
			w.flip()
		}
		w.front = w.front[:len(w.front)-1]
	}
	if w.leaf.ordered {
		i, _ := slices.BinarySearch(w.sorted, s.v)
		w.sorted = slices.Delete(w.sorted, i, i+1)
	}
	w.head++
	if w.leaf.runs > 0 && (w.len() == 0 || w.of[w.head] != w.of[w.head-1]) {
		w.runs--
	}
	if w.len() == 0 {
		w.all, w.of, w.head = w.all[:0], w.of[:0], 0
	}
}

// flip makes front of all samples.
func (w *window) flip() {
	if n := w.len(); cap(w.front) < n {
		w.front = make([]float64, 0, n+n/16)
	}
	sum := 0.0
	for i := len(w.all) - 1; i >= w.head; i-- {
		sum += w.all[i].v
		w.front = append(w.front, sum)
	}
	w.tail = 0
}

func (w *window) sum() float64 {
	if len(w.front) == 0 {
		return w.tail
	}
	return w.front[len(w.front)-1] + w.tail
}

// value is the aggregate of the samples; false where they do not make one.
func (w *window) value() (float64, bool) {
	n := w.len()
	if n == 0 {
		return 0, false
	}
	first, last := w.all[w.head], w.all[len(w.all)-1]
	switch w.leaf.aggregate {
	case Last:
		return last.v, true
	case Min:
		return w.sorted[0], true
	case Max:
		return w.sorted[n-1], true
	case Avg:
		return w.sum() / float64(n), true
	case Sum:
		return w.sum(), true
	case Count:
		return float64(n), true
	case Rate:
		return w.rate(first, last)
	case P50, P90, P95, P99:
		return quantile(w.sorted, w.leaf.aggregate), true
	}
	return 0, false
}

// rate is growth per second: of a counter what was counted in the window's time, or since the first of its runs; of a
// gauge the last less the first.
func (w *window) rate(first, last sample) (float64, bool) {
	counter := w.leaf.counts()
	if counter && w.leaf.span > 0 {
		return w.sum() / w.leaf.span.Seconds(), true
	}
	took := time.Duration(last.at - first.at).Seconds()
	if took <= 0 {
		return 0, false
	}
	if counter {
		return (w.sum() - first.v) / took, true
	}
	return (last.v - first.v) / took, true
}

// quantile interpolates between the two closest ranks, as Prometheus does in quantile_over_time.
func quantile(sorted []float64, a Aggregate) float64 {
	rank := a.share() * float64(len(sorted)-1)
	low := int(rank)
	high := min(low+1, len(sorted)-1)
	weight := rank - float64(low)
	return sorted[low]*(1-weight) + sorted[high]*weight
}

func (a Aggregate) share() float64 {
	switch a {
	case P50:
		return 0.5
	case P90:
		return 0.9
	case P95:
		return 0.95
	case P99:
		return 0.99
	case Last, Min, Max, Avg, Sum, Count, Rate:
	}
	return 0
}

// ordered reports whether the aggregate needs the values by size.
func (a Aggregate) ordered() bool { return a == Min || a == Max || a.share() > 0 }
