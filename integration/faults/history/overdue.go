package history

import (
	"strings"
	"time"
)

// Overdue returns the number of holds of a place that were ended because they had made no progress
// for the time most, and adds those that ended too early to rep.
func Overdue(rep *Report, place string, most time.Duration, all []Op) (ended int) {
	progress := map[incarnation]int64{}
	ops := Of(all, place)
	for _, o := range ops {
		if o.Verb == Progress && o.Outcome == OK {
			at := incarnation{o.Key, o.Fence}
			progress[at] = max(progress[at], o.Call)
		}
	}
	for _, o := range ops {
		if o.Verb != Lose || !strings.Contains(o.Value, "longer than its limit") {
			continue
		}
		ended++
		if last := progress[incarnation{o.Key, o.Fence}]; last != 0 && o.Call < last+int64(most) {
			rep.Addf("%s: the hold %d of %s was overdue %s after its progress, not %v", place, o.Fence,
				o.Client, ms(o.Call-last), most)
		}
	}
	return ended
}
