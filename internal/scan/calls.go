package scan

type callFinder struct{}

func newCallFinder() *callFinder { return &callFinder{} }

func (c *callFinder) find(src *source, s *seen) {}
