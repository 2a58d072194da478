! SPDX-License-Identifier: MIT
! Gray-Scott reaction-diffusion in Fortran: a module's procedures, an internal one and an external one. The same model and
! the same order of operations as gray_scott.c.
module grid
  implicit none
  integer, parameter :: real64 = kind(1.0d0)
  real(real64), parameter :: diffusion_u = 0.16_real64, diffusion_v = 0.08_real64, feed = 0.060_real64, &
                             decay = 0.062_real64, time_step = 1.0_real64
contains
  subroutine seed(u, v, n)
    integer, intent(in) :: n
    real(real64), intent(out) :: u(n, n), v(n, n)

    u = 1
    v = 0
    call square(n / 2 - n / 8, n / 2 - n / 8, n / 4)
    call square(n / 8, n / 4, n / 8)
  contains
    subroutine square(top, left, side)
      integer, intent(in) :: top, left, side

      u(left + 1:left + side, top + 1:top + side) = 0.50_real64
      v(left + 1:left + side, top + 1:top + side) = 0.25_real64
    end subroutine square
  end subroutine seed

  ! Five-point stencil; the borders are periodic. The first index is the column.
  pure function laplacian(field, n, j, i) result(sum)
    integer, intent(in) :: n, j, i
    real(real64), intent(in) :: field(n, n)
    real(real64) :: sum

    sum = field(j, modulo(i - 2, n) + 1) + field(j, modulo(i, n) + 1) + field(modulo(j - 2, n) + 1, i) + &
          field(modulo(j, n) + 1, i) - 4 * field(j, i)
  end function laplacian

  subroutine step(u, v, next_u, next_v, n)
    integer, intent(in) :: n
    real(real64), intent(in) :: u(n, n), v(n, n)
    real(real64), intent(out) :: next_u(n, n), next_v(n, n)
    real(real64) :: reaction
    integer :: i, j

    do i = 1, n
      do j = 1, n
        reaction = u(j, i) * v(j, i) * v(j, i)
        next_u(j, i) = u(j, i) + time_step * (diffusion_u * laplacian(u, n, j, i) - reaction + feed * (1 - u(j, i)))
        next_v(j, i) = v(j, i) + time_step * (diffusion_v * laplacian(v, n, j, i) + reaction - (feed + decay) * v(j, i))
      end do
    end do
  end subroutine step
end module grid

subroutine simulate(n, steps)
  use grid
  implicit none
  integer, intent(in) :: n, steps
  real(real64), allocatable :: u(:, :), v(:, :), next_u(:, :), next_v(:, :)
  integer :: i

  allocate(u(n, n), v(n, n), next_u(n, n), next_v(n, n))
  call seed(u, v, n)
  do i = 1, steps / 2
    call step(u, v, next_u, next_v, n)
    call step(next_u, next_v, u, v, n)
  end do
  if (modulo(steps, 2) == 1) then
    call step(u, v, next_u, next_v, n)
    u = next_u
    v = next_v
  end if
  print '(a, f0.9, a, f0.9)', 'checksum u=', sum(u), ' v=', sum(v)
end subroutine simulate

program gray_scott
  implicit none
  integer :: n = 512, steps = 2000, at
  character(len=32) :: word, number

  at = 1
  do while (at < command_argument_count())
    call get_command_argument(at, word)
    call get_command_argument(at + 1, number)
    if (word == '--size') read (number, *) n
    if (word == '--steps') read (number, *) steps
    at = at + 2
  end do
  if (n < 8 .or. steps < 0) error stop '--size must be at least 8 and --steps at least 0'
  call simulate(n, steps)
end program gray_scott
