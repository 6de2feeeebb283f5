package agent

// SpendSteps are the steps that the spend of the last hour crosses, look by look; 0 where it crosses none.
func SpendSteps(looks ...float64) []float64 {
	var watch hourSpend
	var out []float64
	for _, usd := range looks {
		step, above := watch.crosses(usd)
		if !above {
			step = 0
		}
		out = append(out, step)
	}
	return out
}
