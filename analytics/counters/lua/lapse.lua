-- needs: _start _money
-- Charges up to ARGV[3] reservations. Answers: how many it charged, then up to as many ids that stand lapsed.
if not whole_since() then return {0} end
local answer = {lapse(tonumber(ARGV[3]))}
for _, id in ipairs(redis.call('ZRANGE', LAPSED, 0, ARGV[3] - 1)) do answer[#answer + 1] = id end
return answer
