package heartbeat

import "context"

// Send makes one try.
func (set Settings) Send(ctx context.Context) error { return set.send(ctx) }
