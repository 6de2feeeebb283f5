package store

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/windsock-monitor/windsock/checks"
)

// mostMoney is the most that all amounts of the ledger can add up to: what comes on top is not added, so that an amount out
// of its senses stops every budget and no sum turns negative.
const mostMoney = checks.PicoUSD(math.MaxInt64 / 4)

// spend is money in a moment.
type spend struct {
	at     int64
	amount checks.PicoUSD
}

// line is amounts by time. Any window's sum takes two look-ups.
type line struct {
	spends []spend
	sums   []checks.PicoUSD // of spends, each with all before it
}

// place is how many entries are not later than a moment.
func (l *line) place(moment int64) int {
	return sort.Search(len(l.spends), func(i int) bool { return l.spends[i].at > moment })
}

// until is the sum of the first n entries.
func (l *line) until(n int) checks.PicoUSD {
	if n == 0 {
		return 0
	}
	return l.sums[n-1]
}

func (l *line) total() checks.PicoUSD { return l.until(len(l.spends)) }

// since adds up everything later than the moment, what lies in the future included.
func (l *line) since(moment int64) checks.PicoUSD { return l.total() - l.until(l.place(moment)) }

// insert keeps the order. Runs end about in the order in which they began, so little has to move.
func (l *line) insert(s spend) {
	i := l.place(s.at)
	l.spends = slices.Insert(l.spends, i, s)
	l.addUp(i)
}

// remove takes an amount out, with its entry where the entry is the same.
func (l *line) remove(s spend) {
	last := l.place(s.at) - 1
	for i := last; i >= 0 && l.spends[i].at == s.at; i-- {
		if l.spends[i] == s {
			l.spends = slices.Delete(l.spends, i, i+1)
			l.addUp(i)
			return
		}
	}
	if last >= 0 && l.spends[last].at == s.at && l.spends[last].amount > s.amount { // it was merged with others
		l.spends[last].amount -= s.amount
		l.addUp(last)
	}
}

// replace takes over all entries, in any order.
func (l *line) replace(spends []spend) {
	byTime := func(a, b spend) int { return cmp.Compare(a.at, b.at) }
	if !slices.IsSortedFunc(spends, byTime) {
		slices.SortStableFunc(spends, byTime)
	}
	l.spends = spends
	l.addUp(0)
}

// addUp brings the sums in line with the entries from i on.
func (l *line) addUp(i int) {
	sum := l.until(i)
	l.sums = l.sums[:i]
	for _, s := range l.spends[i:] {
		sum += s.amount
		l.sums = append(l.sums, sum)
	}
}

// newestUpTo is the time of the last entry that is not later than a moment, and the moment itself where there is none.
func (l *line) newestUpTo(moment int64) int64 {
	if n := l.place(moment); n > 0 {
		return l.spends[n-1].at
	}
	return moment
}
