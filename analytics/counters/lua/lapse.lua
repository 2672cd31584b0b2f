-- needs: _start _money
-- ARGV[3]: how many at once; ARGV[4]: those that ended before then, and were returned already, are forgotten.
-- Charges so many reservations. Answers: how many it charged, then up to as many ids that stand lapsed.
if not whole_since() then return {0} end
local at_most, before = tonumber(ARGV[3]), tonumber(ARGV[4])
for _, id in ipairs(redis.call('ZRANGE', LAPSED, 0, at_most - 1)) do
  local _, _, _, ended = held(id)
  if not ended or tonumber(ended) < before then
    redis.call('ZREM', LAPSED, id)
    redis.call('HDEL', HELD, id)
  end
end

local charged = lapse(at_most)
-- There are more to be charged, and nobody reads further yet.
if charged == at_most then return {charged} end
local ids = redis.call('ZRANGE', LAPSED, 0, at_most - 1)
if #ids == at_most then
  -- Behind all that lapsed by now.
  for _, id in ipairs(ids) do redis.call('ZADD', LAPSED, now + 1, id) end
end
return {charged, unpack(ids)}
