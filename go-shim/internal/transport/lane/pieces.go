package lane

// pieces are those that came of a long reply. There is one such reply at a time on a lane, so that it is bounded by the
// longest message, and only the reader knows of it.
type pieces struct {
	id   uint64
	body []byte
}

// add keeps a piece; the whole may have so many bytes.
func (p *pieces) add(r *reply, most int) error {
	if len(p.body) > 0 && p.id != r.id {
		return broken(Garbage, "a piece of %#x before the end of %#x", r.id, p.id)
	}
	if len(p.body)+len(r.body) > most {
		return broken(Limit, "a reply of more than %d bytes", most)
	}
	p.id, p.body = r.id, append(p.body, r.body...)
	return nil
}

// of gives away what came of a reply before its end: nothing of most.
func (p *pieces) of(id uint64) []byte {
	if len(p.body) == 0 || p.id != id {
		return nil
	}
	body := p.body
	*p = pieces{}
	return body
}
