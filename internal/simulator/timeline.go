package simulator

import (
	"context"
	"time"
)

// begin starts the timeline, once.
func (s *Server) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started.IsZero() {
		s.started = time.Now()
	}
}

// Phase is the name of the phase that the scenario is in; "" without a scenario, or before its clock runs.
func (s *Server) Phase() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := s.opts.Scenario
	if sc == nil || s.started.IsZero() {
		return ""
	}
	n, _ := sc.at(time.Since(s.started))
	return sc.name(n)
}

// Play runs the scenario's timeline until ctx ends: it calls OnPhase on time also when no requests come. Serve does it
// by itself; it is for those who mount Handler on a server of their own.
func (s *Server) Play(ctx context.Context) {
	s.begin()
	for {
		next := s.observe()
		timer := time.NewTimer(next)
		if next < 0 {
			timer.Stop() // the last phase has no end
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.restart:
			timer.Stop()
			s.begin()
		case <-timer.C:
		}
	}
}

// observe brings the phase up to the clock and tells of what began. It returns the time to the next change, negative
// where there is none.
func (s *Server) observe() time.Duration {
	next := s.advance()
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	news := s.news
	s.news = nil
	s.mu.Unlock()
	for _, e := range news {
		s.log.Info("phase began", "phase", e.name)
		if s.opts.OnPhase != nil {
			s.opts.OnPhase(e.name, e.at)
		}
	}
	return next
}

func (s *Server) advance() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := s.opts.Scenario
	if sc == nil || len(sc.Phases) == 0 || s.started.IsZero() {
		return -1
	}
	elapsed := time.Since(s.started)
	target, next := sc.at(elapsed)
	if target > s.position {
		// After a long sleep only the last round is told.
		for n := max(s.position+1, target-len(sc.Phases)+1); n <= target; n++ {
			s.news = append(s.news, event{sc.name(n), s.started.Add(sc.begins(n))})
		}
		s.position = target
		s.current = s.activate(sc.Phases[target%len(sc.Phases)].Faults)
	}
	return next
}

// plan is how one request will be treated.
type plan struct {
	fault  Fault // all that match, merged
	quotas []*active
	world  *catalogue
	number uint64 // of the request
}

// plan uses up the counts and the luck of the faults that match.
func (s *Server) plan(c call) plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served++
	p := plan{number: s.served}
	var changes []Fault
	for _, group := range [][]*active{s.always, s.current, s.added} {
		for _, a := range group {
			if a.fault.catalogue() {
				changes = append(changes, a.fault)
				continue
			}
			if !a.hits(c) {
				continue
			}
			p.fault.merge(&a.fault)
			if a.fault.Quota != nil {
				p.quotas = append(p.quotas, a)
			}
		}
	}
	p.world = s.models.with(changes)
	return p
}

// admit counts a request against the quotas, the account's and those of the plan. What it returns is the tightest; a
// request that is refused uses up nothing.
func (s *Server) admit(c call, p *plan) (allowance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	type quota struct {
		w     *window
		limit int64
	}
	var quotas []quota
	if c.paid() {
		quotas = append(quotas, quota{&s.requests, orElse(s.opts.RequestsPerMinute, DefaultRequestsPerMinute)})
	}
	for _, a := range p.quotas {
		quotas = append(quotas, quota{&a.quota, a.fault.Quota.RequestsPerMinute})
	}
	tight := allowance{limit: -1}
	ok := true
	for _, q := range quotas {
		q.w.roll(now, s.minute())
		left := q.limit - q.w.used
		ok = ok && left > 0
		if tight.limit < 0 || left < tight.remaining {
			tight.limit, tight.remaining, tight.reset = q.limit, left, q.w.opened.Add(s.minute()).Sub(now)
		}
	}
	if ok {
		for _, q := range quotas {
			q.w.used++
		}
		tight.remaining--
	}
	s.tokens.roll(now, s.minute())
	tight.tokensUsed = s.tokens.used
	for _, b := range s.stats.billed {
		tight.monthly += b.PromptTokens + b.CompletionTokens
	}
	return tight, ok
}

// keyAccepted is the account's word on a key.
func (s *Server) keyAccepted(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Fingerprint(key)
	return !s.revoked[f] && (len(s.opts.Keys) == 0 || s.accepted[f])
}
