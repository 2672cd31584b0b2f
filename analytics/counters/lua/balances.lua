-- needs: _start _money
-- ARGV[3..]: names. Answers: whether it is whole; spent and open of each, -1 for those that are not held.
local answer = {whole_since() or -1}
for at = 3, #ARGV do
  local found = redis.call('HMGET', MONEY, 's:' .. ARGV[at], 'o:' .. ARGV[at])
  local is_held = answer[1] >= 0 and found[1]
  answer[#answer + 1] = is_held and tonumber(found[1]) or -1
  answer[#answer + 1] = is_held and tonumber(found[2] or 0) or -1
end
return answer
