package runs

import "math"

// fan is how many elements of a level have one element above them.
const fan = 16

// extremes has the least and the most amount of each block, then of each fan blocks, and so on up to all of them.
type extremes []bounds

func extremesOf(blocks []bounds) extremes {
	all := append(make(extremes, 0, len(blocks)+len(blocks)/(fan-1)+8), blocks...)
	for level := all; len(level) > 1; {
		start := len(all)
		for len(level) > 0 {
			group := level[:min(fan, len(level))]
			level = level[len(group):]
			b := group[0]
			for _, other := range group {
				b.take(other)
			}
			all = append(all, b)
		}
		level = all[start:]
	}
	return all
}

// between returns the bounds of the blocks [from, to), of so many in all. There may be none.
func (e extremes) between(blocks, from, to int) bounds {
	b := bounds{math.MaxInt64, math.MinInt64}
	for level := e; from < to; {
		for ; from < to && from%fan != 0; from++ {
			b.take(level[from])
		}
		for ; from < to && to%fan != 0; to-- {
			b.take(level[to-1])
		}
		from, to = from/fan, to/fan
		level = level[blocks:]
		blocks = (blocks + fan - 1) / fan
	}
	return b
}
