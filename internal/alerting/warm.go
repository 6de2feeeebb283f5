package alerting

import (
	"context"
	"time"
)

// mostWarm is how many records of before a start reads at most: they take one to two seconds.
const mostWarm = 40_000

// warm fills the engine's windows from the store: for each check no more than its rules look back at. Where not all of that
// can be had the engine is told, so that it takes nothing that is missing for well.
func (k *Keeper) warm(ctx context.Context, now time.Time) error {
	since := map[string]time.Time{}
	want := now
	for check, need := range k.setup.Engine.Needs() {
		from := now.Add(-need)
		since[check] = from
		if from.Before(want) {
			want = from
		}
	}
	read, err := k.o.Store.Recent(ctx, since, mostWarm, k.setup.Engine.Warm)
	if err != nil {
		k.setup.Engine.Missing(now)
		return err
	}
	log := k.o.Log.With("records", read.Records, "took", time.Since(now).Round(time.Millisecond), "rules_look_back", now.Sub(want))
	if read.Since.IsZero() {
		log.Info("alerts go on from what was measured before")
		return nil
	}
	k.setup.Engine.Missing(read.Since)
	why := "the store has dropped older records"
	if read.Bounded {
		why = "there are more records than a start reads"
	}
	log.Warn("alerts look back less far than their rules say until so much time has passed", "since", read.Since, "reason", why)
	return nil
}
