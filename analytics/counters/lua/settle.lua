-- needs: _start _window _release _money
-- As `release`, and the last ARGV is what the request cost. Answers: name and spent of each account.
local id, cost = ARGV[3], tonumber(ARGV[#ARGV])
local cap, state, names = held(id)
-- Kept aside for `finish`: it must not take the request for an open one, nor count it twice where it is counted here.
if marked() ~= '' then
  redis.call('HSETNX', LATE, id, text(cost) .. '|l|' .. table.concat(names or {}, '\n'))
end
if not cap or redis.call('HGET', MONEY, 'run') ~= ARGV[2] then return {} end

redis.call('HDEL', HELD, id)
redis.call('ZREM', state == 'l' and LAPSED or OPEN, id)
local answer = {}
for _, name in ipairs(names) do
  if state == 'l' then add(name, cost - cap, 0) else add(name, cost, -cap) end
  local spent = redis.call('HGET', MONEY, 's:' .. name)
  if spent then
    answer[#answer + 1] = name
    answer[#answer + 1] = tonumber(spent)
  end
end
return answer
