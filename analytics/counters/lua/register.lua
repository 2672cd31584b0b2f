-- needs: _start
-- KEYS[1]: a hash, name -> `version|end|value`, and under '' the last version that was given.
-- ARGV[3..]: name, known version, how long it is to last (-1: it is taken out), value; of each change.
-- Answers: 1 for each that was done.
local done, longest = {}, 0
local last = tonumber(redis.call('HGET', KEYS[1], '') or 0)
for at = 3, #ARGV, 4 do
  local name, ttl = ARGV[at], tonumber(ARGV[at + 2])
  local version, ends = string.match(redis.call('HGET', KEYS[1], name) or '', '^(%d+)|(%d+)|')
  if not version or tonumber(ends) <= now then version = 0 end
  local is_known = tonumber(version) == tonumber(ARGV[at + 1])
  done[#done + 1] = is_known and 1 or 0
  if is_known and ttl < 0 then
    redis.call('HDEL', KEYS[1], name)
  elseif is_known then
    -- By the clock, so that a store that was emptied gives none a second time; and counted on within a millisecond.
    last = math.max(now, last + 1)
    longest = math.max(longest, ttl)
    redis.call('HSET', KEYS[1], name, text(last) .. '|' .. text(now + ttl) .. '|' .. ARGV[at + 3], '', text(last))
  end
end
if longest > redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], longest) end
return done
