-- needs: _start _money
-- ARGV[3..]: ids. Answers: whether each has a reservation.
local answer = {}
for at = 3, #ARGV do answer[at - 2] = redis.call('HEXISTS', HELD, ARGV[at]) end
return answer
