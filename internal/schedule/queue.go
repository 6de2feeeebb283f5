package schedule

import "container/heap"

// item is an entry's place in a queue.
type item struct {
	key   int64
	entry *entry
	start bool // the run at start, not a slot
}

// queue is a min-heap of items.
type queue []item

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].key < q[j].key }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push and Pop are container/heap's.
func (q *queue) Push(x any) { *q = append(*q, x.(item)) } // only add calls it

// Pop takes the last.
func (q *queue) Pop() any {
	last := len(*q) - 1
	it := (*q)[last]
	(*q)[last] = item{}
	*q = (*q)[:last]
	return it
}

func (q *queue) add(it item) { heap.Push(q, it) }

// due takes the first item where its key is not above now.
func (q *queue) due(now int64) (item, bool) {
	if len(*q) == 0 || (*q)[0].key > now {
		return item{}, false
	}
	it := (*q)[0]
	heap.Pop(q)
	return it, true
}

// fifo is a line of slots.
type fifo struct {
	slots []*slot
	head  int
}

func (f *fifo) push(sl *slot) { f.slots = append(f.slots, sl) }

func (f *fifo) empty() bool { return f.head == len(f.slots) }

func (f *fifo) pop() *slot {
	sl := f.slots[f.head]
	f.slots[f.head] = nil
	f.head++
	if f.empty() {
		f.slots, f.head = f.slots[:0], 0
	} else if f.head > 1024 && f.head > len(f.slots)/2 {
		n := copy(f.slots, f.slots[f.head:])
		clear(f.slots[n:])
		f.slots, f.head = f.slots[:n], 0
	}
	return sl
}
